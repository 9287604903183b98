"""A server that answers, but wants less: it is left alone for a while, and who waits gets an errno.

Limits here are guards against hanging.
"""
import errno
import threading

import pytest

from lib import scripted

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

    def make(answer, options=(), **mailboxes):
        class Session(USUAL):
            def do_uid_fetch(self, arguments, tag):
                words = answer(self) if "BODY.PEEK[]" in arguments else None
                return words or super().do_uid_fetch(arguments, tag)

        monkeypatch.setattr(scripted, "Session", Session)
        server = scripted.Scripted({"INBOX": LETTERS, **mailboxes})
        servers.append(server.__enter__())
        mount = mounts(server, options=["timeout=4", "poll=3600", *options])
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
