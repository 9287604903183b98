"""The cutter counts steps, and cuts at each of them, with nothing lost that has passed."""
import contextlib
import imaplib
import socket
import threading

import pytest

from lib.cutter import Cutter
from lib.plainserver import USUAL, PlainServer

LETTER = b"From: a@example.org\r\nSubject: Cut\r\nMessage-ID: <1@cut>\r\n\r\nText\r\n"
LOST = (imaplib.IMAP4.abort, OSError)
BARE_MOVE = [("line", "SELECT"), *[("answer", "SELECT")] * 7,
             ("line", "UID COPY"), ("answer", "UID COPY"),
             ("line", "UID STORE"), ("answer", "UID STORE")]
APPEND = [("line", "APPEND"), ("answer", "APPEND"), ("first", "APPEND"), ("second", "APPEND"),
          ("line", "APPEND"), ("answer", "APPEND")]


@contextlib.contextmanager
def connected(port):
    imap = imaplib.IMAP4("127.0.0.1", port, 60)
    try:
        imap.login("alice", "secret")
        yield imap
    finally:
        with contextlib.suppress(OSError):
            imap.shutdown()


def change(port):
    """A run: copies a message, marks it, delivers another."""
    with connected(port) as imap:
        imap.select("INBOX")
        imap.uid("FETCH", "1", "(UID BODY.PEEK[])")
        imap.uid("COPY", "1", "Trash")
        imap.uid("STORE", "1", "+FLAGS.SILENT", "(\\Deleted)")
        imap.append("Archive", None, None, LETTER)
        imap.noop()


def fresh(capabilities=()):
    return PlainServer({"INBOX": [LETTER], "Trash": [], "Archive": []}, capabilities)


def kinds(cutter):
    return [(s.what, s.command) for s in cutter.steps]


@pytest.fixture(scope="module")
def all_steps():
    with fresh() as server, Cutter(server.imap_port) as cutter:
        change(cutter.port)
        return list(cutter.steps)


def test_counts_what_changes_mail():
    with fresh() as server, Cutter(server.imap_port) as cutter:
        change(cutter.port)
        assert kinds(cutter) == BARE_MOVE + APPEND
        assert [s.number for s in cutter.steps] == list(range(1, cutter.count() + 1))
        assert cutter.steps[14].text + cutter.steps[15].text == LETTER
        cutter.arm()
        assert cutter.count() == 0 and not cutter.fired


def test_literals_that_do_not_wait():
    with fresh(USUAL) as server, Cutter(server.imap_port) as cutter:
        with server.client():
            pass
        with socket.create_connection(("127.0.0.1", cutter.port), 60) as raw:
            raw.sendall(b"a LOGIN alice secret\r\nb APPEND Archive {%d+}\r\n%s\r\nc LOGOUT\r\n"
                        % (len(LETTER), LETTER))
            while raw.recv(1 << 16):
                pass
        assert [s.what for s in cutter.steps] == ["line", "first", "second", "line", "answer"]
        assert server.store.box("Archive").messages[0].raw == LETTER


def test_big_literals_pass_whole():
    raw = b"Subject: Big\r\n\r\n" + b"0123456789abcde\r\n" * 200_000
    with fresh() as server, Cutter(server.imap_port) as cutter:
        with connected(cutter.port) as imap:
            assert imap.append("Archive", None, None, raw)[0] == "OK"
            imap.select("Archive")
            assert imap.uid("FETCH", "1", "(BODY.PEEK[])")[1][0][1] == raw
        assert server.store.box("Archive").messages[0].raw == raw


def expected(steps, at, where):
    """What the server must have done, (copied, marked, appended), when a run is cut there: True,
    False, or None where it may or may not have."""
    done = []
    for command in ("UID COPY", "UID STORE", "APPEND"):
        numbers = [s.number for s in steps if s.command == command]
        last_line = max(s.number for s in steps if s.command == command and s.what == "line")
        if at >= numbers[-1]:
            done.append(True)
        elif at > last_line:
            done.append(True)
        elif at == last_line and where == "after":
            done.append(None)
        else:
            done.append(False)
    return done


@pytest.mark.parametrize("how", ["rst", "fin"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_cuts_at_every_step(all_steps, where, how):
    for at in range(1, len(all_steps) + 1):
        with fresh() as server, Cutter(server.imap_port) as cutter:
            cutter.arm(at, where, how)
            with pytest.raises(LOST):
                change(cutter.port)
            assert cutter.wait_fired(60)
            assert (cutter.fired.number, cutter.fired.command) == (at, all_steps[at - 1].command)
            # a connection of now is answered after all that came before it
            with connected(cutter.port) as imap:
                imap.noop()
            for session in server.sessions[:1]:
                session.thread.join(60)
            message = server.store.box("INBOX").messages[0]
            got = [bool(server.store.uids("Trash")), "\\Deleted" in message.flags,
                   bool(server.store.uids("Archive"))]
            for is_, must in zip(got, expected(all_steps, at, where)):
                assert must is None or is_ == must, (at, where, got, all_steps[at - 1])


def test_a_run_with_fewer_steps_is_not_cut(all_steps):
    with fresh() as server, Cutter(server.imap_port) as cutter:
        cutter.arm(len(all_steps) + 1)
        change(cutter.port)
        assert cutter.fired is None and not cutter.wait_fired(0)
        assert cutter.count() == len(all_steps)


def test_steps_of_a_command(all_steps):
    """The nth step of a command, wherever it is; and none once it is disarmed."""
    for command, number in (("UID COPY", 2), ("APPEND", 4)):
        wanted = [s.number for s in all_steps if s.command == command][number - 1]
        with fresh() as server, Cutter(server.imap_port) as cutter:
            cutter.arm((command, number))
            with pytest.raises(LOST):
                change(cutter.port)
            assert cutter.wait_fired(60)
            assert cutter.disarm() == cutter.fired and cutter.fired.number == wanted
            cutter.arm((command, number))
            assert cutter.disarm() is None
            change(cutter.port)
            assert kinds(cutter) == BARE_MOVE + APPEND


def test_callback_comes_before_the_end_and_then_it_refuses():
    with fresh() as server, Cutter(server.imap_port) as cutter:
        with connected(cutter.port) as other:
            called = []
            cutter.arm(1, "before", callback=lambda: called.append(threading.active_count()),
                       then="refuse")
            with pytest.raises(LOST):
                change(cutter.port)
            assert len(called) == 1
            with pytest.raises(LOST):
                other.noop()
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", cutter.port), 5)
        assert not server.sent("^SELECT")
        cutter.arm()
        cutter.come_back()
        change(cutter.port)
        assert kinds(cutter) == BARE_MOVE + APPEND


def test_only_the_cut_connection_ends_where_others_may_pass():
    with fresh() as server, Cutter(server.imap_port) as cutter:
        with connected(cutter.port) as other:
            cutter.arm(3, "after", how="fin")
            with pytest.raises(LOST):
                change(cutter.port)
            assert other.noop()[0] == "OK"
            cutter.cut_all()
            with pytest.raises(LOST):
                other.noop()


def test_compression_is_hidden():
    with Cutter(1) as cutter:
        assert cutter.count() == 0
    with fresh() as server, Cutter(server.imap_port) as cutter:
        server.capabilities.append("COMPRESS=DEFLATE")
        with connected(cutter.port) as imap:
            words = imap.capability()[1][0].split()
        assert b"COMPRESS=DEFLATE" not in words and b"AUTH=PLAIN" in words


def test_a_server_that_is_away():
    with fresh() as server:
        port = server.imap_port
    with Cutter(port) as cutter, pytest.raises(LOST):
        with connected(cutter.port):
            pass
