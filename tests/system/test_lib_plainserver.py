"""The plain server of the tests is a true one, and misbehaves as it is told."""
import imaplib
import socket

import pytest

from lib.imapwords import read_set
from lib.plainserver import USUAL, PlainServer


def letter(number):
    return (b"From: a@example.org\r\nSubject: Letter %d\r\nMessage-ID: <%d@plain>\r\n\r\n"
            b"Letter %d\r\n" % (number, number, number))


def mailboxes(count=3):
    return {"INBOX": [letter(n) for n in range(1, count + 1)], "Trash": [], "Archive": []}


@pytest.fixture(params=[(), USUAL], ids=["bare", "usual"])
def server(request):
    with PlainServer(mailboxes(), capabilities=request.param) as made:
        yield made


@pytest.fixture
def bare():
    with PlainServer(mailboxes()) as made:
        yield made


@pytest.fixture
def usual():
    with PlainServer(mailboxes(), capabilities=USUAL) as made:
        yield made


@pytest.fixture
def connect():
    """connect(server): a connection that is signed in."""
    made = []

    def one(server, folder=None):
        made.append(imaplib.IMAP4("127.0.0.1", server.imap_port, 60))
        made[-1].login("alice", "secret")
        if folder:
            assert made[-1].select(folder)[0] == "OK"
        return made[-1]
    yield one
    for each in made:
        try:
            each.shutdown()
        except OSError:
            pass


@pytest.mark.parametrize("word,last,numbers", [
    ("1", 9, [1]), ("2:4,7", 9, [2, 3, 4, 7]), ("4:2", 9, [2, 3, 4]), ("7:*", 9, [7, 8, 9]),
    ("*", 9, [9]), ("*:7,1,1:2", 9, [1, 2, 7, 8, 9]), ("1:6,2:3,5:8", 9, [*range(1, 9)]),
    ("12:*", 9, [9]), ("1:*", 0, [])])
def test_sets(word, last, numbers):
    inside = read_set(word, last)
    assert [n for n in range(1, 10) if inside(n)] == (numbers or [1])


def test_ten_thousand_move_in_batches(usual, connect):
    for number in range(10_000):
        usual.store.deliver("Archive", letter(number))
    imap = connect(usual, "Archive")
    every_other = ",".join("%d" % n for n in range(1, 3000, 2))
    for words in (every_other, "1:5000", "5001:*"):
        assert imap.uid("MOVE", words, "Trash")[0] == "OK"
    assert len(imap.response("EXPUNGE")[1]) == 10_000
    assert usual.store.uids("Archive") == [] and len(usual.store.uids("Trash")) == 10_000


LOST = (imaplib.IMAP4.abort, OSError)


def test_what_is_not_offered_is_bad(bare, connect):
    imap = connect(bare, "INBOX")
    for words in [("MOVE", "1", "Trash"), ("EXPUNGE", "1"), ("SEARCH", "RETURN (ALL) ALL"),
                  ("STORE", "1", "(UNCHANGEDSINCE 1)", "+FLAGS", "(\\Seen)")]:
        with pytest.raises(imaplib.IMAP4.error, match="BAD"):
            imap.uid(*words)
    assert len(bare.violations) == 4, bare.violations
    assert bare.store.uids("INBOX") == [1, 2, 3]
    assert not any(m.flags for m in bare.store.box("INBOX").messages)


def test_literals_that_do_not_wait(bare, usual):
    for server, kept in [(bare, 0), (usual, 1)]:
        with server.client() as client:
            client.socket.settimeout(20)
            client.socket.sendall(b"x APPEND Archive {%d+}\r\n" % len(letter(9)))
            client.socket.sendall(letter(9) + b"\r\n")
            try:
                answer = client.response()[0]
            except Exception:
                answer = b""
        assert answer.startswith(b"x OK") == bool(kept), answer
        assert len(server.store.uids("Archive")) == kept


def test_append_keeps_flags_date_and_bytes(server, connect):
    imap = connect(server)
    date = '"03-Mar-2024 12:13:14 +0530"'
    assert imap.append("Archive", "(\\Seen $Work)", date, letter(7))[0] == "OK"
    told = imap.response("APPENDUID")[1]
    assert bool(told and told[0]) == server.has("UIDPLUS")
    message = server.store.box("Archive").messages[0]
    assert (message.uid, message.raw, message.flags) == (1, letter(7), {"\\Seen", "$Work"})
    imap.select("Archive", True)
    assert date.encode() in imap.uid("FETCH", "1", "(INTERNALDATE)")[1][0]


def test_copy_takes_flags_and_date_along(server, connect):
    server.store.mark("INBOX", [2], ["\\Flagged"])
    imap = connect(server, "INBOX")
    assert imap.uid("COPY", "2:3", "Trash")[0] == "OK"
    told = imap.response("COPYUID")[1]
    assert (told[0].split()[1:] if told[0] else []) == (
        [b"2:3", b"1:2"] if server.has("UIDPLUS") else [])
    first = server.store.box("Trash").messages[0]
    assert first.flags == {"\\Flagged"}
    assert first.date == server.store.box("INBOX").messages[1].date


def test_move_and_uid_expunge(usual, connect):
    imap = connect(usual, "INBOX")
    assert imap.uid("MOVE", "1,3", "Trash")[0] == "OK"
    assert imap.response("EXPUNGE")[1] == [b"3", b"1"]
    assert usual.store.uids("INBOX") == [2] and usual.store.uids("Trash") == [1, 2]
    imap.select("Trash")
    imap.uid("STORE", "1:2", "+FLAGS", "(\\Deleted)")
    assert imap.uid("EXPUNGE", "2")[0] == "OK"
    assert usual.store.uids("Trash") == [1]


def test_others_are_told(server, connect):
    one, other = connect(server, "INBOX"), connect(server, "INBOX")
    one.uid("STORE", "1", "+FLAGS", "(\\Deleted)")
    one.expunge()
    one.uid("STORE", "3", "+FLAGS", "(\\Answered)")
    one.append("INBOX", None, None, letter(8))
    other.noop()
    assert other.response("EXPUNGE")[1] == [b"1"]
    assert b"\\Answered" in other.response("FETCH")[1][0]
    assert other.response("EXISTS")[1][-1] == b"3"
    assert other.uid("SEARCH", "ALL")[1] == [b"2 3 4"]


def test_idle_hears_of_new_mail(usual):
    with usual.client() as client:
        client.command(b"SELECT INBOX")
        client.send(b"IDLE")
        assert client.response()[0].startswith(b"+")
        usual.store.deliver("INBOX", letter(5))
        assert client.response()[0] == b"* 4 EXISTS"
        client.socket.sendall(b"DONE\r\n")
        assert b" OK" in client.response()[0]


def test_unchangedsince(usual, connect):
    imap = connect(usual, "INBOX")
    seen = usual.store.box("INBOX").modseq
    usual.store.mark("INBOX", [2], ["\\Flagged"])
    answer = imap.uid("STORE", "1:2", "(UNCHANGEDSINCE %d)" % seen, "+FLAGS", "(\\Seen)")
    assert answer[0] == "OK" and imap.response("MODIFIED")[1] == [b"2"]
    assert [m.flags for m in usual.store.box("INBOX").messages] == [
        {"\\Seen"}, {"\\Flagged"}, set()]


def test_mailboxes(server, connect):
    imap = connect(server)
    assert imap.create("Work/2024/May")[0] == "OK"
    assert imap.create("Work")[0] == "NO"
    before = server.store.box("Work/2024").uidvalidity
    assert imap.rename("Work", "Done")[0] == "OK"
    assert server.store.box("Done/2024").uidvalidity == before
    imap.subscribe("Done")
    assert b'"Done"' in imap.lsub()[1][0]
    assert imap.delete("Done")[0] == "OK"  # it has children: its name stays
    assert imap.delete("Done")[0] == "NO"
    assert imap.select("Done")[0] == "NO"
    assert imap.delete("INBOX")[0] == "NO"
    assert any(b'\\Trash' in line for line in imap.list()[1]) == server.has("SPECIAL-USE")
    old = server.store.box("Archive").uidvalidity
    imap.delete("Archive")
    imap.create("Archive")
    assert server.store.box("Archive").uidvalidity != old


def test_rename_of_inbox_and_a_new_uidvalidity(bare, connect):
    imap = connect(bare)
    imap.rename("INBOX", "Old")
    assert bare.store.uids("INBOX") == [] and bare.store.uids("Old") == [1, 2, 3]
    bare.store.rename_renews = True
    before = bare.store.box("Old").uidvalidity
    imap.rename("Old", "Older")
    assert bare.store.box("Older").uidvalidity != before


def test_read_only_rights_and_quota(usual, connect):
    usual.store.box("Trash").read_only = True
    usual.store.box("INBOX").rights = "lrsi"
    usual.store.quota = usual.store.used() + 1
    imap = connect(usual)
    assert imap.append("Trash", None, None, letter(1))[0] == "NO"
    assert imap.append("Archive", None, None, b"X: y\r\n\r\n" + b"x" * 9000)[0] == "NO"
    imap.select("INBOX")
    assert imap.uid("STORE", "1", "+FLAGS", "(\\Seen)")[0] == "OK"
    assert imap.uid("STORE", "1", "+FLAGS", "(\\Deleted)")[0] == "NO"
    assert imap.uid("MOVE", "1", "Archive")[0] == "NO"
    with pytest.raises(imaplib.IMAP4.readonly):
        imap.select("Trash")
    assert usual.store.uids("INBOX") == [1, 2, 3] and usual.store.uids("Archive") == []


def test_refusals(server, connect):
    server.refuse("^UID COPY", "NO [OVERQUOTA] full", nth=2, times=1)
    imap = connect(server, "INBOX")
    answers = [imap.uid("COPY", "1", "Trash") for _ in range(3)]
    assert [a[0] for a in answers] == ["OK", "NO", "OK"]
    assert b"OVERQUOTA" in answers[1][1][0]
    assert len(server.store.uids("Trash")) == 2
    server.omit = {"COPYUID", "APPENDUID"}
    imap.response("COPYUID")
    imap.uid("COPY", "1", "Trash")
    assert imap.response("COPYUID")[1] == [None]


@pytest.mark.parametrize("early", [False, True])
def test_append_is_refused_early_or_late(bare, early):
    bare.early = early
    with bare.client() as client:
        client.socket.sendall(b"x APPEND Nowhere {5}\r\n")
        answer = client.response()[0]
        assert answer.startswith(b"x NO [TRYCREATE]" if early else b"+"), answer
        if not early:
            client.socket.sendall(b"A: b\n\r\n")
            assert client.response()[0].startswith(b"x NO [TRYCREATE]")
        client.command(b"NOOP")


@pytest.mark.parametrize("where,done", [("before", 0), ("executed", 1), ("answered", 1)])
def test_dropped_connections_keep_the_store(server, connect, where, done):
    fault = server.drop("^UID COPY", where)
    imap = connect(server, "INBOX")
    if where == "answered":
        assert imap.uid("COPY", "1", "Trash")[0] == "OK"
        with pytest.raises(LOST):
            imap.noop()
    else:
        with pytest.raises(LOST):
            imap.uid("COPY", "1", "Trash")
    assert fault.done == 1
    assert len(server.store.uids("Trash")) == done
    assert connect(server, "INBOX").uid("COPY", "1", "Trash")[0] == "OK"


def test_silence_delay_and_absence(bare, connect):
    bare.fault("^UID STORE", silent=True, times=1)
    with bare.client() as client:
        client.command(b"SELECT INBOX")
        client.send(b"UID STORE 1 +FLAGS (\\Seen)")
        tag = client.send(b"NOOP")
        assert client.response()[0].startswith(tag)  # of the one before not a word
    assert bare.store.box("INBOX").messages[0].flags == {"\\Seen"}
    bare.go_away()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", bare.imap_port), 5)
    bare.come_back()
    assert connect(bare, "INBOX").uid("SEARCH", "SEEN")[1] == [b"1"]


def test_log_and_direct_changes(bare, connect):
    imap = connect(bare, "INBOX")
    bare.store.expunge("INBOX", [1])
    bare.store.copy("INBOX", [2], "Archive", move=True)
    imap.noop()
    assert imap.response("EXPUNGE")[1] == [b"2", b"1"]
    assert bare.sent("^SELECT") == ["SELECT INBOX"]
    assert "secret" not in " ".join(bare.commands)
    bare.store.renew("INBOX")
    with pytest.raises(LOST):
        imap.noop()
    assert {k: [n for n, _ in v] for k, v in bare.store.copies().items()} == {
        "<2@plain>": ["Archive"], "<3@plain>": ["INBOX"]}
