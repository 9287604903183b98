"""Servers that are not the same any more when they are met again."""
import errno
import hashlib
import os
import signal
import threading
import time

import pytest

from lib import plainserver, scripted
from lib.mount import wait_for
from lib.others import Other
from lib.servers import Dovecot, processes_below, process_runs

IDLE = ["poll=3600"]
HIDDEN = 8 << 20


def letter(number, body=b"body\r\n"):
    return (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\n"
            b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nSubject: number %d.\r\n"
            b"Message-ID: <changed%d@example.org>\r\n\r\n" % (number, number)) + body


def status(mount):
    return (mount.path / ".mailmount/status").read_text()


def retry(mount):
    fd = os.open(mount.path / ".mailmount/control", os.O_WRONLY)
    try:
        os.write(fd, b"retry\n")
    except OSError:
        pass  # it says how that went
    finally:
        os.close(fd)


def outcome(path):
    """What reading gives: bytes, or an errno."""
    try:
        return path.read_bytes()
    except OSError as problem:
        return problem.errno


# ---- killed

def test_killed_in_the_middle_of_a_literal(mounts, through):
    """Dovecot dies with half of a body sent; it is there again, and the body comes whole."""
    noise = b"".join(hashlib.sha256(b"%d" % n).hexdigest().encode() + b"\r\n"
                     for n in range(HIDDEN // 66))
    small = letter(2, noise[:500 << 10])
    with Dovecot() as server:
        with server.client() as client:
            for raw in (letter(1, noise), small):
                client.append(b"INBOX", raw)
        proxy = through(server)
        mount = mounts(server, port=proxy.port, tls="none", options=[*IDLE, "timeout=20"],
                       writes=True)
        for subject, raw, after in (("number 2.", small, 100 << 10),
                                    ("number 1.", letter(1, noise), 1 << 20)):
            path = mount.message(subject)
            proxy.stall(after=after)
            got = []
            reader = threading.Thread(target=lambda: got.append(outcome(path)))
            reader.start()
            assert wait_for(lambda: not proxy.flow.is_set())
            kill(server)
            proxy.resume()
            proxy.cut()
            reader.join(120)
            assert got and (got[0] == raw or got[0] in (
                errno.EIO, errno.ENETUNREACH, errno.ETIMEDOUT)), str(got)[:200]
            server.start()
            proxy.target = server.imap_port
            retry(mount)
            assert wait_for(lambda: outcome(path) == raw)
        mount.unmount()


def kill(server):
    pids = processes_below(server.process.pid)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    server.process.wait()
    assert wait_for(lambda: not any(process_runs(pid) for pid in pids))
    server.process = None
    (server.folder / "run/master.pid").unlink(missing_ok=True)


# ---- another certificate

@pytest.mark.parametrize("wrong", ["self_signed", "elsewhere", "expired"])
def test_another_certificate(authority, mounts, wrong):
    """Nothing is said to a server that cannot prove who it is; what is cached stays readable."""
    good = authority.certificate("fine")
    with scripted.Scripted({"INBOX": [letter(1), letter(2), letter(3)]}, tls=good) as server:
        mount = mounts(port=server.port, ca=authority.ca, options=IDLE)
        paths = [mount.message("number %d." % n) for n in (1, 2, 3)]
        assert outcome(paths[0]) == letter(1)
        server.tls = getattr(authority, wrong)()
        said = len(server.commands)
        server.cut()
        assert wait_for(lambda: "state: offline" in status(mount))
        assert outcome(paths[1]) == errno.ENETUNREACH
        assert wait_for(lambda: "certificate" in status(mount)), status(mount)
        assert outcome(paths[0]) == letter(1)
        retry(mount)
        assert "certificate" in status(mount) and "state: offline" in status(mount)
        assert server.commands[said:] == [], "it spoke to a server that it cannot trust"
        server.tls = good
        retry(mount)
        assert wait_for(lambda: outcome(paths[1]) == letter(2))
        assert "state: online" in status(mount) and "certificate" not in status(mount)
        mount.unmount()


# ---- other capabilities

FEWER = [(), ("UIDPLUS",), tuple(c for c in plainserver.USUAL if c not in ("MOVE", "CONDSTORE")),
         plainserver.USUAL]


@pytest.mark.parametrize("before", [plainserver.USUAL, ()], ids=["usual", "bare"])
@pytest.mark.parametrize("after", FEWER, ids=["bare", "uidplus", "no-move", "usual"])
def test_other_capabilities(mounts, before, after):
    """Each connection is spoken to as it says itself; nothing is lost or done twice."""
    with plainserver.PlainServer({"INBOX": [letter(n) for n in (1, 2, 3, 4)], "Trash": [],
                                  "Archive": []}, before) as server:
        mount = mounts(server, options=["poll=5"], writes=True)
        inbox, archive = mount.path / "INBOX", mount.path / "Archive"
        assert outcome(mount.message("number 1.")) == letter(1)
        os.rename(mount.message("number 1."), archive / mount.message("number 1.").name)
        assert wait_for(lambda: len(server.store.uids("Archive")) == 1)
        server.capabilities = [*after]
        server.cut()
        server.store.deliver("INBOX", letter(5))
        server.store.mark("INBOX", [3], ["\\Flagged"])
        server.store.expunge("INBOX", [4])
        assert wait_for(lambda: shown(inbox) == [2, 3, 5])
        assert wait_for(lambda: shown(inbox / ".mailmount/flags/flagged") == [3])
        assert outcome(mount.message("number 5.")) == letter(5)
        os.rename(mount.message("number 2."), archive / mount.message("number 2.").name)
        assert wait_for(lambda: len(server.store.uids("Archive")) == 2)
        assert wait_for(lambda: shown(inbox) == [3, 5] and shown(archive) == [1, 2])
        mount.unmount()
        assert server.violations == []


def shown(directory):
    try:
        names = os.listdir(directory)
    except OSError:
        return None
    return sorted(int(n.split("number ")[1].split(".")[0]) for n in names if n.endswith("].eml"))


def test_fewer_capabilities_once_signed_in(mounts):
    """What the greeting promised does not count after the login."""
    with plainserver.PlainServer({"INBOX": [letter(1), letter(2)], "Trash": [], "Archive": []}, ()
                                 ) as server:
        server.promised = [c for c in plainserver.USUAL if c not in ("SASL-IR", "LITERAL+")]
        mount = mounts(server, options=["poll=5"], writes=True)
        assert shown(mount.path / "INBOX") == [1, 2]
        os.rename(mount.message("number 1."),
                  mount.path / "Archive" / mount.message("number 1.").name)
        assert wait_for(lambda: len(server.store.uids("Archive")) == 1)
        server.store.deliver("INBOX", letter(3))
        assert wait_for(lambda: shown(mount.path / "INBOX") == [2, 3])
        mount.unmount()
        assert server.violations == []


# ---- another password

def attempts(server):
    return len(server.sent("^(LOGIN|AUTHENTICATE)"))


def test_another_password(mounts):
    """The command is asked again when what it gave is refused."""
    with scripted.Scripted({"INBOX": [letter(1), letter(2)]}) as server:
        mount = mounts(server, options=IDLE)
        paths = [mount.message("number %d." % n) for n in (1, 2)]
        before = attempts(server)
        server.password = "other"
        mount.secret.write_text("other\n")
        server.cut()
        assert wait_for(lambda: outcome(paths[0]) == letter(1))
        assert attempts(server) - before <= 3  # the old, the new, one more connection
        assert "state: online" in status(mount)
        mount.unmount()


@pytest.mark.parametrize("given", ["secret", "wrong"], ids=["the old one", "a wrong one"])
def test_a_password_that_is_wrong(mounts, given):
    """It is tried once more with what the command gives, if that is another one; then the server is
    left in peace, and status says why."""
    letters = {"F%d" % n: [letter(n)] for n in range(6)}
    with scripted.Scripted({"INBOX": [letter(9)], **letters}) as server:
        mount = mounts(server, options=IDLE)
        paths = [mount.message("number %d." % n, "F%d" % n) for n in range(6)]
        before = attempts(server)
        server.password = "other"
        mount.secret.write_text(given + "\n")
        server.cut()
        readers = [threading.Thread(target=outcome, args=[path]) for path in paths]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(120)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            assert outcome(paths[0]) in (errno.EACCES, errno.ENETUNREACH)
            time.sleep(0.1)
        assert attempts(server) - before <= 2, server.sent("^(LOGIN|AUTHENTICATE)")
        text = status(mount)
        assert "state: offline" in text and "last error: " in text
        assert "password" in text or "signing in" in text or "AUTHENTICATIONFAILED" in text, text
        mount.secret.write_text("other\n")
        retry(mount)
        assert wait_for(lambda: outcome(paths[0]) == letter(0))
        assert "state: online" in status(mount)
        mount.unmount()


def test_another_password_while_connected(mounts):
    """Connections that stand serve on; more of them are not tried again and again."""
    letters = {"F%d" % n: [letter(n)] for n in range(6)}
    with scripted.Scripted({"INBOX": [letter(9)], **letters}) as server:
        mount = mounts(server, options=IDLE)
        paths = [mount.message("number %d." % n, "F%d" % n) for n in range(6)]
        before = attempts(server)
        server.password = "other"
        readers = [threading.Thread(target=outcome, args=[path]) for path in paths]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(120)
        assert [outcome(path) for path in paths] == [letter(n) for n in range(6)]
        assert attempts(server) - before <= 2
        mount.unmount()


# ---- mailboxes that go while they are listed

@pytest.mark.parametrize("how", ["deleted", "renamed"])
def test_a_mailbox_that_goes_while_it_is_listed(server, user, mounts, how):
    """A listing that began ends; what was in it is gone, and nothing else suffers."""
    server.add_user(user)
    with Other(server, user) as other:
        other.create("Box")
        for number in range(1, 4):
            other.deliver("Box", letter(number))
        other.deliver("INBOX", letter(9))
        mount = mounts(server, user=user, options=IDLE, writes=True)
        listing = os.open(mount.path / "Box", os.O_RDONLY | os.O_DIRECTORY)
        assert shown(mount.path / "Box") == [1, 2, 3]
        paths = [mount.message("number %d." % n, "Box") for n in (1, 2, 3)]
        assert outcome(paths[0]) == letter(1)
        if how == "deleted":
            other.delete("Box")
        else:
            other.rename("Box", "Elsewhere")
        for path in paths[1:]:
            assert outcome(path) in (letter(2), letter(3), errno.ENOENT, errno.ESTALE)
        assert wait_for(lambda: "Box" not in os.listdir(mount.path))
        for path in paths:
            assert wait_for(lambda: outcome(path) in (errno.ENOENT, errno.ESTALE))
        try:
            os.listdir(listing)
        except OSError as problem:
            assert problem.errno in (errno.ENOENT, errno.ESTALE)
        os.close(listing)
        if how == "renamed":
            assert wait_for(lambda: shown(mount.path / "Elsewhere") == [1, 2, 3])
            assert outcome(mount.message("number 3.", "Elsewhere")) == letter(3)
        assert outcome(mount.message("number 9.")) == letter(9)
        assert "state: online" in status(mount)
