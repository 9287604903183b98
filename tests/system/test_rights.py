"""Folders that may not be changed, and quotas."""
import errno
import os

import pytest

from lib import plainserver, servers
from lib.mount import wait_for
from lib.others import Other, copies

LETTER = (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: %s\r\n"
          b"Date: Sat, 1 Mar 2025 09:00:00 +0000\r\nMessage-ID: <%s@rights.example.org>\r\n\r\n"
          b"A letter.\r\n")


def letter(subject):
    return LETTER % (subject.encode(), subject.encode())


@pytest.fixture(params=["full_dovecot", "full_cyrus", "usual_plain"])
def reader(request, user, mounts):
    """A mount on which Archive, with one message, may only be read; and what the server has."""
    server = request.getfixturevalue(request.param)
    server.add_user(user)
    other = Other(server, user)
    other.deliver("Archive", letter("kept"))
    other.deliver("INBOX", letter("mine"))
    server.set_rights(user, "Archive", "lra")
    mount = mounts(server, user=user, writes=True)
    os.listdir(mount.path / "Archive")
    return mount, lambda: copies(server, user)


def refused(expected, action):
    with pytest.raises(OSError) as problem:
        action()
    assert problem.value.errno == expected, problem.value


def test_a_folder_without_rights(reader):
    mount, state = reader
    archive, kept = mount.path / "Archive", mount.message("kept", "Archive")
    mine = mount.message("mine")
    before = state()
    refused(errno.EACCES, lambda: (archive / "new.eml").write_bytes(letter("new")))
    refused(errno.EACCES, lambda: os.rename(mine, archive / "mine.eml"))
    refused(errno.EACCES, kept.unlink)
    refused(errno.EACCES, lambda: os.rename(kept, mount.path / "INBOX" / "kept.eml"))
    refused(errno.EACCES, lambda: os.link(
        kept, archive / ".mailmount/flags/flagged" / kept.name))
    assert "changes to be sent: 0\n" in (mount.path / ".mailmount/status").read_text()
    assert state() == before
    assert kept.exists() and mine.exists() and not (archive / "new.eml").exists()
    assert kept.read_bytes() == letter("kept")


@pytest.mark.parametrize("name", ["full_dovecot", "full_cyrus"])
def test_a_folder_that_may_not_be_read(request, name, user, mounts):
    """Cyrus says so in words alone."""
    server = request.getfixturevalue(name)
    server.add_user(user)
    Other(server, user).deliver("Archive", letter("kept"))
    server.set_rights(user, "Archive", "la")
    mount = mounts(server, user=user, writes=True)
    refused(errno.EACCES, lambda: os.listdir(mount.path / "Archive"))
    refused(errno.EACCES, lambda: (mount.path / "Archive/new.eml").write_bytes(letter("new")))
    refused(errno.EACCES, lambda: os.listdir(mount.path / "Archive"))
    assert "messages that could not be sent: 0\n" in (
        mount.path / ".mailmount/status").read_text()


@pytest.fixture
def without_acl():
    boxes = {name: [] for name in (*servers.SPECIAL, "Archive")}
    with plainserver.PlainServer(boxes, plainserver.USUAL) as server:
        yield server


def test_a_read_only_mailbox(without_acl, user, mounts):
    """Without ACL it shows when something is changed: that comes back, and the next is refused."""
    other = Other(without_acl, user)
    for subject in ("one", "two"):
        other.deliver("Archive", letter(subject))
    without_acl.store.box("Archive").read_only = True
    mount = mounts(without_acl, user=user, writes=True)
    one = mount.message("one", "Archive")
    one.unlink()
    status = mount.path / ".mailmount/status"
    assert wait_for(lambda: "last refusal" in status.read_text())
    assert wait_for(one.exists), "it did not come back"
    refused(errno.EACCES, mount.message("two", "Archive").unlink)
    assert len(other.uids("Archive")) == 2


@pytest.mark.parametrize("which", ["full_dovecot", "full_cyrus", "usual_plain"])
def test_df_shows_the_quota(request, which, user, mounts):
    server = request.getfixturevalue(which)
    server.add_user(user)
    other = Other(server, user)
    other.deliver("INBOX", letter("one"))
    server.set_quota(user, 500)
    mount = mounts(server, user=user, writes=True)

    def space():
        st = os.statvfs(mount.path)
        return st if st.f_blocks * st.f_frsize == 500 * 1024 else None
    st = wait_for(space)
    assert st, os.statvfs(mount.path)
    assert st.f_bavail <= st.f_blocks
    os.listdir(mount.path / "INBOX")


@pytest.mark.parametrize("answer, expected", [
    ("NO [NOPERM] not yours", errno.EACCES), ("NO not now", errno.ENOENT)])
def test_a_folder_that_cannot_be_opened(usual_plain, mounts, answer, expected):
    """It is not shown empty, though there is something below it: that can be opened."""
    with Other(usual_plain, "alice") as other:
        for folder in ("Top", "Top/Below"):
            other.create(folder)
            other.deliver(folder, letter(folder))
    usual_plain.refuse('^(EXAMINE|SELECT) "?Top"?( |$)', answer)
    mount = mounts(usual_plain)
    refused(expected, lambda: os.listdir(mount.path / "Top"))
    assert os.stat(mount.message("Top_Below", "Top/Below")).st_size > 0
    refused(expected, lambda: os.listdir(mount.path / "Top"))
