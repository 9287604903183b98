"""Several accounts in one configuration: what is set for one concerns no other."""
import errno
import os

import pytest

from lib import mail
from lib.mount import wait_for
from test_check import check


def filled(server, user):
    server.add_user(user)
    with server.client(user) as client:
        for name in (b"Work", b"Work/Old", b"Play"):
            client.command(b"CREATE " + name)
        mail.deliver(client, [mail.Message("INBOX", mail.text("Hello.\n"), subject="Number %d" % n)
                              for n in range(3)])


@pytest.fixture
def accounts(dovecot, user, mounts, folder):
    """accounts({name: lines}): a mount of all, each with a mailbox of its own."""
    def make(options, start=True):
        text = ""
        for name, lines in options.items():
            filled(dovecot, user + name)
            text += "[%s]\nsource = imaps://%s@localhost:%d\ntls_ca = %s\n%s\n%s\n" % (
                name, user + name, dovecot.imaps_port, dovecot.ca,
                "password_command = echo secret", "\n".join(lines))
        file = folder / "mailmount.conf"
        file.write_text(text)
        file.chmod(0o600)
        mount = mounts(start=False, source="all")
        mount.arguments = ["-o", "config=%s" % file]
        return mount.__enter__() if start else mount
    return make


def messages(mount, name, mailbox="INBOX"):
    return sorted(e for e in os.listdir(mount.path / name / mailbox) if e.endswith("].eml"))


def test_each_as_it_is_set(accounts):
    mount = accounts({
        "plain": [],
        "some": ["xattr = yes", "folders = *;!Work/*;!Play", "view = messages", "umask = 022"],
        "still": ["ro = yes"],
        "hard": ["delete = expunge", "view = parts", "control = listed"]})
    assert {"Work", "Play", "INBOX", "Trash"} <= set(os.listdir(mount.path / "plain"))
    assert "Old" in os.listdir(mount.path / "plain/Work")
    assert "Play" not in os.listdir(mount.path / "some")
    assert "Old" not in os.listdir(mount.path / "some/Work")
    # what is shown
    assert len(os.listdir(mount.path / "plain/INBOX")) == 6
    assert len(os.listdir(mount.path / "some/INBOX")) == 3
    assert not [e for e in os.listdir(mount.path / "hard/INBOX") if e.endswith(".eml")]
    assert ".mailmount" in os.listdir(mount.path / "hard/INBOX")
    assert ".mailmount" not in os.listdir(mount.path / "plain/INBOX")
    first = messages(mount, "some")[0]
    assert (mount.path / "some/INBOX" / first).stat().st_mode & 0o777 == 0o644
    assert (mount.path / "plain/INBOX" / messages(mount, "plain")[0]).stat().st_mode & 0o077 == 0
    for name, attributes in (("some", True), ("plain", False)):
        path = mount.path / name / "INBOX" / messages(mount, name)[0]
        assert bool(os.listxattr(path)) == attributes
    # what may be done
    with pytest.raises(OSError) as refused:
        (mount.path / "still/INBOX" / messages(mount, "still")[0]).unlink()
    assert refused.value.errno in (errno.EROFS, errno.EPERM, errno.EACCES)
    (mount.path / "plain/INBOX" / messages(mount, "plain")[0]).unlink()
    assert wait_for(lambda: len(messages(mount, "plain", "Trash")) == 1)
    victim = next(e for e in os.listdir(mount.path / "hard/INBOX") if e.endswith("]"))
    os.rmdir(mount.path / "hard/INBOX" / victim)
    assert len([e for e in os.listdir(mount.path / "hard/INBOX") if e.endswith("]")]) == 2
    assert not [e for e in os.listdir(mount.path / "hard/Trash") if e.endswith("]")]
    assert len(messages(mount, "still")) == 3


def test_sizes_of_caches(accounts):
    mount = accounts({"small": ["cache_size = 16M"], "big": ["cache_size = 64M"]})
    status = (mount.path / ".mailmount/status").read_text()
    limits = [line.split(" of ")[1] for line in status.splitlines()
              if line.startswith("content cache: ")]
    assert len(limits) == 2 and limits[0] != limits[1], status


@pytest.mark.parametrize("line,words", [
    ("view = sideways", "view"), ("cache_size = 1", "cache_size"), ("umask = 9", "umask"),
    ("tls = none", "tls="), ("tls_fingerprint = 12", "tls_fingerprint"), ("ro = perhaps", "ro"),
    ("delete = maybe", "delete"), ("connections = 99", "connections"), ("folders = ;", "folders"),
    ("nonsense = 1", "nonsense"), ("auth = faith", "auth"), ("poll = 1", "poll"),
    ("poll = 60\npoll = 90", "poll: line ")])
def test_a_mistake_names_its_account(accounts, line, words):
    mount = accounts({"good": [], "bad": [line]}, start=False)
    done = mount.run()
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "[bad] " in done.stderr and words in done.stderr
    assert len(messages(mount, "good")) == 3
    mount.unmount()
    found = check(mount)
    assert found.status == 2 and "[bad] " in found.text
