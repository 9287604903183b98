"""Flags as directories, and as extended attributes."""
import errno
import os
import subprocess

import pytest

from lib.mount import wait_for


def letter(subject):
    return ("From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: %s\r\n"
            "Date: Sat, 1 Mar 2025 09:00:00 +0000\r\nMessage-ID: <%s@flags.example.org>\r\n\r\n"
            "A letter.\r\n" % (subject, subject)).encode()


def flags_of(server, user, subject, mailbox=b"INBOX"):
    """The flags that the server has for the message with this subject, lower case."""
    with server.client(user) as client:
        client.command(b"EXAMINE " + mailbox)
        for parts in client.command(b"UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"):
            if len(parts) > 1 and subject.encode() in parts[1]:
                line = parts[0] + parts[-1]
                inner = line.split(b"FLAGS (", 1)[1].split(b")", 1)[0]
                return {w.decode().lower() for w in inner.split()} - {"\\recent"}
    return None


def view(mount, *names, mailbox="INBOX"):
    return mount.path.joinpath(mailbox, ".mailmount", *names)


def subjects(folder):
    return sorted(name.split(" - ", 1)[1].split(" [")[0] for name in os.listdir(folder))


@pytest.fixture
def flagged(full_server, user):
    """A mailbox with three messages: one seen, one flagged with a keyword, one plain."""
    with full_server.client(user) as client:
        for subject, flags in (("seen", b"\\Seen"), ("marked", b"\\Flagged work"), ("plain", b"")):
            assert client.append(b"INBOX", letter(subject), flags) is None
    return full_server


def test_views_list_by_flag(flagged, user, mounts):
    mount = mounts(flagged, user=user, writes=True)
    assert sorted(os.listdir(view(mount))) == ["flags", "tags"]
    assert sorted(os.listdir(view(mount, "flags"))) == [
        "answered", "deleted", "draft", "flagged", "unread"]
    assert subjects(view(mount, "flags", "unread")) == ["marked", "plain"]
    assert subjects(view(mount, "flags", "flagged")) == ["marked"]
    assert os.listdir(view(mount, "tags")) == ["work"]
    assert subjects(view(mount, "tags", "work")) == ["marked"]
    name = os.listdir(view(mount, "flags", "flagged"))[0]
    assert view(mount, "flags", "flagged", name).read_bytes() == (
        mount.message("marked").read_bytes())
    assert ".mailmount" not in os.listdir(mount.path / "INBOX")


def test_ln_sets_and_rm_clears(flagged, user, mounts):
    mount = mounts(flagged, user=user, writes=True)
    target = mount.message("plain")
    os.link(target, view(mount, "flags", "flagged", target.name))
    assert subjects(view(mount, "flags", "flagged")) == ["marked", "plain"]
    assert target.exists()
    os.unlink(view(mount, "flags", "unread", target.name))
    assert wait_for(lambda: flags_of(flagged, user, "plain") == {"\\flagged", "\\seen"})
    os.unlink(view(mount, "flags", "flagged", target.name))
    assert wait_for(lambda: flags_of(flagged, user, "plain") == {"\\seen"})
    os.link(target, view(mount, "flags", "flagged", target.name))  # the same link once more
    assert wait_for(lambda: flags_of(flagged, user, "plain") == {"\\flagged", "\\seen"})
    assert target.exists()


def test_mv_sets_and_the_message_stays(flagged, user, mounts):
    mount = mounts(flagged, user=user, writes=True)
    target = mount.message("plain")
    subprocess.run(["mv", target, view(mount, "flags", "flagged")], check=True)
    assert wait_for(lambda: flags_of(flagged, user, "plain") == {"\\flagged"})
    assert wait_for(target.exists)
    moved = view(mount, "flags", "flagged", target.name)
    subprocess.run(["mv", moved, view(mount, "flags", "answered")], check=True)
    assert wait_for(lambda: flags_of(flagged, user, "plain") == {"\\answered"})


def test_a_message_that_is_just_arriving(flagged, user, mounts):
    mount = mounts(flagged, user=user, writes=True)
    target = mount.message("plain")
    (mount.path / "Archive").is_dir() or (mount.path / "Archive").mkdir()
    subprocess.run(["mv", target, mount.path / "Archive"], check=True)
    os.link(mount.path / "Archive" / target.name,
            view(mount, "flags", "flagged", target.name, mailbox="Archive"))
    status = mount.path / ".mailmount/status"
    assert wait_for(lambda: "changes to be sent: 0\n" in status.read_text())
    if flagged.name == "plain" and not flagged.has("UIDPLUS"):  # which does not say where it is
        assert "where the message lies now is not known" in status.read_text()
        assert flags_of(flagged, user, "plain", b"Archive") == set()
    else:
        assert flags_of(flagged, user, "plain", b"Archive") == {"\\flagged"}


def test_mkdir_makes_a_keyword(flagged, user, mounts):
    mount = mounts(flagged, user=user, writes=True)
    tag = view(mount, "tags", "later")
    tag.mkdir()
    assert sorted(os.listdir(view(mount, "tags"))) == ["later", "work"]
    with pytest.raises(FileExistsError):
        tag.mkdir()
    target = mount.message("plain")
    os.link(target, tag / target.name)
    assert wait_for(lambda: flags_of(flagged, user, "plain") == {"later"})
    with pytest.raises(OSError) as problem:
        tag.rmdir()
    assert problem.value.errno == errno.ENOTEMPTY
    (tag / target.name).unlink()
    assert wait_for(lambda: flags_of(flagged, user, "plain") == set())
    tag.rmdir()
    assert os.listdir(view(mount, "tags")) == ["work"]


def test_what_a_view_refuses(flagged, user, mounts):
    mount = mounts(flagged, user=user, writes=True)
    target = mount.message("plain")
    refused = [
        (lambda: view(mount, "flags", "mine").mkdir(), errno.EPERM),
        (lambda: view(mount, "tags", "two words").mkdir(), errno.EINVAL),
        (lambda: view(mount, "flags", "flagged").rmdir(), errno.EPERM),
        (lambda: view(mount, "flags", "flagged", "new.eml").write_bytes(b"x"), errno.EPERM),
        (lambda: os.link(target.with_suffix("") / "headers.txt",
                         view(mount, "flags", "flagged", "h")), errno.EPERM),
    ]
    for number, (action, expected) in enumerate(refused):
        with pytest.raises(OSError) as problem:
            action()
        assert problem.value.errno == expected, number
    assert flags_of(flagged, user, "plain") == set()


def test_a_read_only_mount_keeps_its_flags(flagged, user, mounts):
    mount = mounts(flagged, user=user, writes=True, options=["ro"])
    target = mount.message("marked")
    with pytest.raises(OSError) as problem:
        os.unlink(view(mount, "flags", "flagged", target.name))
    assert problem.value.errno == errno.EROFS
    assert flags_of(flagged, user, "marked") == {"\\flagged", "work"}


# ---- extended attributes

def test_attributes_tell(flagged, user, mounts):
    mount = mounts(flagged, user=user, writes=True, options=["xattr"])
    target = mount.message("marked")
    names = set(os.listxattr(target))
    assert {"user.imap.flags", "user.imap.uid", "user.imap.uidvalidity",
            "user.imap.internaldate", "user.imap.mailbox", "user.xdg.tags",
            "user.mime_type"} <= names
    assert os.getxattr(target, "user.imap.flags") == b"\\Flagged work"
    assert os.getxattr(target, "user.xdg.tags") == b"work"
    assert os.getxattr(target, "user.imap.mailbox") == b"INBOX"
    assert os.getxattr(target, "user.mime_type") == b"message/rfc822"
    uid = target.name.rsplit("[", 1)[1].split("]")[0]
    assert os.getxattr(target, "user.imap.uid").decode() == uid
    assert os.getxattr(target.with_suffix(""), "user.imap.uid").decode() == uid
    assert os.getxattr(target.with_suffix("") / "body.txt", "user.mime_type") == b"text/plain"
    with pytest.raises(OSError) as problem:
        os.getxattr(target, "user.other")
    assert problem.value.errno == errno.ENODATA


def test_attributes_set(flagged, user, mounts):
    mount = mounts(flagged, user=user, writes=True, options=["xattr"])
    target = mount.message("plain")
    os.setxattr(target, "user.imap.flags", b"\\Seen urgent")
    assert os.getxattr(target, "user.imap.flags") == b"\\Seen urgent"
    assert wait_for(lambda: flags_of(flagged, user, "plain") == {"\\seen", "urgent"})
    os.setxattr(target, "user.xdg.tags", b"home,urgent")
    assert wait_for(lambda: flags_of(flagged, user, "plain") == {"\\seen", "urgent", "home"})
    os.removexattr(target, "user.xdg.tags")
    assert wait_for(lambda: flags_of(flagged, user, "plain") == {"\\seen"})
    for name, value, expected in (("user.imap.uid", b"7", errno.EPERM),
                                  ("user.xdg.tags", b"two words", errno.EINVAL),
                                  ("user.imap.flags", b"(", errno.EINVAL)):
        with pytest.raises(OSError) as problem:
            os.setxattr(target, name, value)
        assert problem.value.errno == expected, name


def test_attributes_are_off_by_default(flagged, user, mounts):
    mount = mounts(flagged, user=user, writes=True)
    with pytest.raises(OSError) as problem:
        os.getxattr(mount.message("plain"), "user.imap.flags")
    assert problem.value.errno == errno.ENOTSUP
