"""A server that answers, but wants less: it is left alone for a while. Or that talks instead of
answering. Who waits gets an errno, and has what is in the cache.

Limits here are guards against hanging.
"""
import errno
import json
import threading
import time

import pytest

from lib import scripted
from lib.mount import wait_for

HANG = 60
USUAL = scripted.Session  # others are put in its place
LETTERS = [b"From: A <a@example.org>\r\nSubject: number %d\r\nMessage-ID: <%d@example.org>\r\n"
           b"Date: Sat, 01 Mar 2025 12:00:00 +0000\r\n\r\nhello\r\n" % (n, n) for n in range(6)]


class Later:
    """A read in a thread: the bytes, or the errno."""

    def __init__(self, path):
        self.result = None
        self.thread = threading.Thread(target=self.read, args=(path,), daemon=True)
        self.thread.start()

    def read(self, path):
        try:
            self.result = path.read_bytes()
        except OSError as problem:
            self.result = problem.errno

    def wait(self):
        self.thread.join(HANG)
        assert not self.thread.is_alive(), "still waiting"
        return self.result


@pytest.fixture
def wanting(mounts, monkeypatch):
    """wanting(answer, **mailboxes): (server, mount); `answer(session)` is what a FETCH of a body
    gets, None: the body."""
    servers = []

    def make(answer, timeout=4, **mailboxes):
        class Session(USUAL):
            def do_uid_fetch(self, arguments, tag):
                words = answer(self) if "BODY.PEEK[]" in arguments else None
                return words or super().do_uid_fetch(arguments, tag)

        monkeypatch.setattr(scripted, "Session", Session)
        server = scripted.Scripted({"INBOX": LETTERS, **mailboxes})
        servers.append(server.__enter__())
        mount = mounts(server, options=["timeout=%d" % timeout, "poll=3600"])
        mount.messages = sorted(p for p in (mount.path / "INBOX").iterdir() if p.suffix == ".eml")
        return server, mount
    yield make
    for mount in mounts.made:
        mount.unmount()
    for server in servers:
        server.__exit__()


def test_a_pause_of_no_length(wanting):
    words = "NO Request is throttled. Suggested Backoff Time: 0 milliseconds"
    server, mount = wanting(lambda session: words)
    before = len(server.commands)
    assert Later(mount.messages[0]).wait() == errno.ETIMEDOUT
    assert len(server.commands) - before < 20


def talk(session, seconds, words="* OK Still here"):
    """A line again and again, while nothing is answered; the server's end or a new one ends it."""
    for _ in range(int(seconds / 0.2)):
        if getattr(session.server, "quiet", False):
            return
        session.send(words)
        time.sleep(0.2)


@pytest.mark.parametrize("words", ["* OK Still here", "* 6 EXISTS",
                                   "* 1 FETCH (FLAGS (\\Seen))", "* OK [ALERT] " + 600 * "x"])
def test_a_command_that_is_never_answered(wanting, words):
    """What the server says beside is good for a few times the deadline, not for ever. A folder that
    is in the cache is listed meanwhile."""
    def answer(session):
        talk(session, 3 * HANG, words)
        return "OK done"

    server, mount = wanting(answer, timeout=2)
    began = time.monotonic()
    reader = Later(mount.messages[0])
    assert wait_for(lambda: server.sent("BODY.PEEK"))
    assert len([p for p in (mount.path / "INBOX").iterdir() if p.suffix == ".eml"]) == 6
    assert time.monotonic() - began < 15, "the list waited for the body"
    result = reader.wait()
    server.quiet = True
    assert result == errno.ETIMEDOUT
    assert time.monotonic() - began >= 2
    print("%.1f s" % (time.monotonic() - began))


def test_a_slow_server_that_says_so(wanting):
    """Longer than the deadline, with words in between."""
    def answer(session):
        talk(session, 4)

    server, mount = wanting(answer, timeout=2)
    assert Later(mount.messages[0]).wait() == LETTERS[0]


def test_a_slow_body(wanting):
    """A literal that comes in small pieces takes as long as it takes."""
    text = b"Subject: slow\r\nMessage-ID: <slow@example.org>\r\n\r\n" + 2400 * b"0123456789\r\n"

    class Slow:
        """Sends what is long a little at a time."""
        def __init__(self, socket):
            self.socket = socket

        def sendall(self, data):
            for at in range(0, len(data), 1440):
                self.socket.sendall(data[at:at + 1440])
                time.sleep(0.5 if len(data) > 20_000 else 0)

        def __getattr__(self, name):
            return getattr(self.socket, name)

    def answer(session):
        if not isinstance(session.socket, Slow):
            session.socket = Slow(session.socket)

    server, mount = wanting(answer, timeout=2, Slow=[text])
    path = next(p for p in (mount.path / "Slow").iterdir() if p.suffix == ".eml")
    assert Later(path).wait() == text


@pytest.mark.parametrize("words", [
    "NO [THROTTLED] Request is throttled, try later",
    "NO [OVERQUOTA] Account exceeded command or bandwidth limits"])
def test_a_reader_of_many(wanting, words):
    """Who reads one message after the other does not hammer on."""
    server, mount = wanting(lambda session: words)
    before = len(server.commands)
    for path in mount.messages[:3]:
        assert Later(path).wait() == errno.ETIMEDOUT
    assert len(server.commands) - before < 20


@pytest.mark.parametrize("words", ["NO Mailbox is being rebuilt, try again later",
                                   "NO [LIMIT] Too many messages"])
def test_a_mailbox_that_asks_to_come_later(wanting, monkeypatch, words):
    """Who lists it hears an error; what is read elsewhere waits for nothing."""
    server, mount = wanting(lambda session: None, Bad=LETTERS)
    session = scripted.Session

    def refuse(self, arguments, tag):
        if "Bad" not in arguments:
            return session.__mro__[1].do_examine(self, arguments, tag)
        self.selected = None
        return words

    monkeypatch.setattr(session, "do_examine", refuse, raising=False)
    for path in mount.messages[:4]:
        with pytest.raises(OSError) as problem:
            list((mount.path / "Bad").iterdir())
        assert problem.value.errno == errno.EIO
        assert Later(path).wait() in LETTERS
        status = json.loads((mount.path / ".mailmount/status.json").read_text())
        assert status["accounts"][0]["paused_until"] is None
    assert len([line for line in server.commands if "EXAMINE Bad" in line]) < 12


def test_what_is_cached(wanting):
    """No command is sent for it, nothing waits, and the status tells why the rest does."""
    words = "NO Request is throttled. Suggested Backoff Time: 60000 milliseconds"
    calm = []
    server, mount = wanting(lambda session: None if not calm else words,
                            **{"F%d" % n: LETTERS for n in range(5)})
    folders = [mount.path / ("F%d" % n) for n in range(5)]

    def look():
        began = time.monotonic()
        for folder in folders:
            assert len([p for p in folder.iterdir() if p.suffix == ".eml"]) == 6
        assert mount.messages[1].read_bytes() == LETTERS[1]
        return time.monotonic() - began

    def account():
        return json.loads((mount.path / ".mailmount/status.json").read_text())["accounts"][0]

    look()
    before = look()
    assert account()["paused_until"] is None
    calm.append(True)
    reader = Later(mount.messages[0])
    assert wait_for(lambda: account()["paused_until"])
    time.sleep(2.1)  # long enough that the lists are not fresh any more
    sent = len(server.commands)
    took = look()
    print("five folders: %.3f s before, %.3f s while the server wants a pause" % (before, took))
    assert took < 10
    assert len(server.commands) == sent
    assert "Suggested Backoff Time" in account()["paused_by"]
    assert 40 < account()["paused_until"] - time.time() < 80
    assert account()["online"] is True
    told = (mount.path / ".mailmount/status").read_text()
    assert "\nthe server wants a pause: until 20" in told and "Suggested Backoff" in told
    assert reader.wait() == errno.ETIMEDOUT
