"""What real servers do otherwise than the standards say, and what shows that none of it harms.

QUIRKS lists by number what has been reported of servers and concerns a reading or writing client.
Each row names the tests that show it, or a scenario of this module: a server of which just that is
wrong, and mail that must come through it whole.
"""
import errno
import itertools
import os
import re
import threading
from pathlib import Path

import pytest

from lib import plainsession, scripted
from lib.mount import wait_for

TESTS = Path(__file__).resolve().parents[1]
USUAL = scripted.Session  # others are put in its place


def letter(number, lines=3):
    return (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: number %d end\r\n"
            b"Date: Sat, 01 Mar 2025 12:00:00 +0000\r\nMessage-ID: <%d@example.org>\r\n"
            b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" % (number, number)
            + b"".join(b"line %d of %d\r\n" % (n, number) for n in range(lines)))


LETTERS = [letter(n) for n in range(1, 7)]


def listed(mount, mailbox="INBOX"):
    return sorted(e for e in os.listdir(mount.path / mailbox) if e.endswith("].eml"))


def there(mount, number, mailbox="INBOX", lines=3):
    """Whether a letter is there; if it is, then it is whole, and so is its part."""
    if not any("number %d end" % number in e for e in listed(mount, mailbox)):
        return False
    path = mount.message("number %d end" % number, mailbox)
    raw = letter(number, lines)
    assert path.read_bytes() == raw, path
    text = (path.with_suffix("") / "body.txt").read_bytes()
    assert text.replace(b"\r\n", b"\n") == raw.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")
    return True


def all_there(mount, numbers=range(1, 7), mailbox="INBOX"):
    assert len(listed(mount, mailbox)) == len(list(numbers)), listed(mount, mailbox)
    assert all(there(mount, n, mailbox) for n in numbers)


def tried(call, *also):
    """What it returns; False where it failed as the mount does while a server is out of reach."""
    try:
        return call()
    except OSError as problem:
        assert problem.errno in (errno.EIO, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EAGAIN,
                                 errno.EHOSTUNREACH, *also), problem
        return False


class Quirky:
    """Starts scripted servers whose sessions have more methods, and mounts of them."""

    def __init__(self, mounts, monkeypatch):
        self.mounts, self.monkeypatch, self.servers = mounts, monkeypatch, []

    def mount(self, session=USUAL, mailboxes=None, options=(), hung=None, **more):
        self.monkeypatch.setattr(scripted, "Session", session)
        server = scripted.Scripted(mailboxes or {"INBOX": LETTERS}, **more)
        server.hung = hung
        server.faults, server.wronged = 0, set()  # how often the quirk was shown, and for what
        self.servers.append(server.__enter__())
        return server, self.mounts(server, options=list(options))


@pytest.fixture
def quirky(mounts, monkeypatch):
    made = Quirky(mounts, monkeypatch)
    yield made
    for mount in mounts.made:
        mount.unmount()
    for server in made.servers:
        server.__exit__()


# ---- identity and sequence numbers

def expunged_amid_a_fetch(quirky):
    class Session(USUAL):
        def do_uid_fetch(self, arguments, tag):
            if "RFC822.SIZE" not in arguments or self.server.faults:
                return super().do_uid_fetch(arguments, tag)
            self.server.faults += 1
            uids, _, rest = arguments.partition(" ")
            items = scripted.fetch_items(re.sub(r" \(CHANGEDSINCE.*", "", rest))
            first, second, *others = self.selected.messages
            self.answer(1, first, items)
            self.selected.messages.remove(second)
            self.seen -= 1
            self.send("* 2 EXPUNGE")
            for number, message in enumerate(others, 2):
                self.answer(number, message, items)
            others[-1].flags = "\\Flagged"
            self.send("* 5 FETCH (FLAGS (\\Flagged))")
            return "OK done"
    server, mount = quirky.mount(Session)
    assert wait_for(lambda: len(listed(mount)) == 5)
    all_there(mount, (1, 3, 4, 5, 6))
    flagged = mount.path / "INBOX/.mailmount/flags/flagged"
    assert wait_for(lambda: ["number 6 end" in e for e in os.listdir(flagged)
                             if e.endswith("].eml")] == [True])
    assert server.faults


def same_uids_in_two_mailboxes(quirky):
    """And one UIDVALIDITY."""
    _, mount = quirky.mount(mailboxes={"INBOX": LETTERS[:3], "Other": LETTERS[3:]})
    all_there(mount, (1, 2, 3))
    all_there(mount, (4, 5, 6), "Other")


def only_uids_are_sent(quirky):
    """Nothing by sequence number, and nothing that servers are known to get wrong."""
    for capabilities in (scripted.CAPABILITIES, scripted.CAPABILITIES + " BINARY", "IMAP4rev1"):
        server, mount = quirky.mount(capabilities=capabilities)
        all_there(mount)
        assert server.sent("^UID FETCH")
        assert not server.sent(r"^(FETCH|STORE|COPY|MOVE|SEARCH|EXPUNGE)\b")
        assert not server.sent(r"ENVELOPE|BINARY|RFC822(?!\.SIZE)|BODY\[|RETURN \(\)")


def tags_are_never_used_again(quirky):
    tags = []

    class Session(USUAL):
        def read(self):
            line = super().read()
            tags.append(line.partition(" ")[0])
            return line
    server, mount = quirky.mount(Session)
    assert there(mount, 1)
    before = len(server.sessions)
    server.cut()
    assert wait_for(lambda: tried(lambda: there(mount, 2)))
    assert len(server.sessions) > before
    assert len(set(tags)) == len(tags)


# ---- answers that are not what they should be

def esearch_answered_as_of_old(quirky):
    class Session(USUAL):
        def do_uid_search(self, arguments, tag):
            self.server.faults += "RETURN" in arguments
            return super().do_uid_search(re.sub(r"RETURN \(.*?\) ", "", arguments), tag)
    server, mount = quirky.mount(Session)
    all_there(mount)
    mount.unmount()
    mount.__enter__()  # what is gone is asked for then
    del server.mailboxes["INBOX"].messages[2]
    server.cut()
    assert wait_for(lambda: len(listed(mount)) == 5)
    all_there(mount, (1, 2, 4, 5, 6))
    assert server.faults


def lines_that_mean_nothing(quirky):
    """Before each answer, and each answer twice."""
    class Session(USUAL):
        def send(self, line):
            data = line.encode() if isinstance(line, str) else line
            if re.match(rb"\w+ (OK|NO|BAD)", data):
                super().send(b"Server Unavailable. 15")
                super().send(data)
            super().send(data)
    _, mount = quirky.mount(Session)
    all_there(mount)


def a_range_that_is_not_kept(quirky):
    """Everything comes for a range, under the range's origin."""
    class Session(USUAL):
        def body(self, message, section, origin, length):
            if origin is None or int(origin) == 0:
                return super().body(message, section, origin, length)
            self.server.faults += 1
            data = message.part.section(section)
            return b"BODY[%s]<%d> {%d}\r\n" % (section.encode(), int(origin), len(data)) + data
    raw = letter(1, 200_000)
    server, mount = quirky.mount(Session, {"INBOX": [raw]})
    path = mount.message("number 1 end")
    with open(path, "rb", buffering=0) as file:
        for offset in (len(raw) // 2, len(raw) - 1000, 1000):
            assert os.pread(file.fileno(), 500, offset) == raw[offset:offset + 500]
    assert path.read_bytes() == raw
    assert server.faults


def literals_of_another_length(quirky):
    """Their length is said wrong the first time."""
    def session(wrong):
        class Session(USUAL):
            def body(self, message, section, origin, length):
                piece = super().body(message, section, origin, length)
                if section or message.uid in self.server.wronged:
                    return piece
                self.server.wronged.add(message.uid)
                self.server.faults += 1
                return re.sub(rb"\{(\d+)\}", lambda m: b"{%d}" % (int(m[1]) + wrong), piece, 1)
        return Session
    for wrong in (-2, -1, 1, 2):
        server, mount = quirky.mount(session(wrong), options=["timeout=5"])
        for number in range(1, 7):
            assert wait_for(lambda: tried(lambda: there(mount, number))), (wrong, number)
        assert server.faults


def byes_without_end(quirky):
    class Session(USUAL):
        def do_uid_fetch(self, arguments, tag):
            if "BODY.PEEK[]" in arguments and not self.server.faults:
                self.server.faults += 1
                for _ in range(100_000):
                    self.send("* BYE server is going away")
                threading.Event().wait(1)
            return super().do_uid_fetch(arguments, tag)
    server, mount = quirky.mount(Session)
    assert wait_for(lambda: tried(lambda: there(mount, 1)))
    all_there(mount)
    assert server.faults


def one_message_that_cannot_be_fetched(quirky):
    """The set that it is in is refused, whole or from there on."""
    def session(whole, what):
        class Session(USUAL):
            def do_uid_fetch(self, arguments, tag):
                uids, _, rest = arguments.partition(" ")
                found = [m.uid for _, m in self.wanted(uids)]
                if 3 not in found or what not in arguments:
                    return super().do_uid_fetch(arguments, tag)
                self.server.faults += 1
                before = [str(u) for u in found if u < 3]
                if before and not whole:
                    super().do_uid_fetch(",".join(before) + " " + rest, tag)
                return "NO [SERVERBUG] UID FETCH Server error"
        return Session
    for whole, what in itertools.product((True, False), ("RFC822.SIZE", "BODYSTRUCTURE",
                                                         "BODY.PEEK[]")):
        server, mount = quirky.mount(session(whole, what), options=["timeout=5"])
        assert wait_for(lambda: len(listed(mount)) >= 5), (whole, what)
        for entry in listed(mount):
            tried(lambda: os.listdir(mount.path / "INBOX" / entry[:-len(".eml")]))
        assert all(there(mount, n) for n in (1, 2, 4, 5, 6)), (whole, what)
        try:
            there(mount, 3)
        except OSError as problem:
            assert problem.errno == errno.EIO
        assert server.faults


def many_messages_that_cannot_be_fetched(quirky):
    """Even their flags are refused, at the begin of the mailbox, where nothing was granted yet."""
    class Session(USUAL):
        def do_uid_fetch(self, arguments, tag):
            if any(m.uid <= 150 for _, m in self.wanted(arguments.partition(" ")[0])):
                self.server.faults += 1
                return "NO [SERVERBUG] UID FETCH Server error"
            return super().do_uid_fetch(arguments, tag)
    server, mount = quirky.mount(Session, mailboxes={"INBOX": [LETTERS[n % len(LETTERS)]
                                                               for n in range(300)]})
    assert len(listed(mount)) == 300
    assert server.faults


def a_search_that_lists_what_is_not_there(quirky):
    """A few octets name millions: none of them is asked for."""
    class Session(USUAL):
        def do_uid_search(self, arguments, tag):
            self.server.faults += 1
            self.send('* ESEARCH (TAG "%s") UID ALL 1:33000000' % tag)
            return "OK done"
    server, mount = quirky.mount(Session)
    with pytest.raises(OSError) as problem:
        listed(mount)
    assert problem.value.errno == errno.EIO
    assert server.faults and not server.sent("^UID FETCH")


# ---- what is offered and does not work

def a_list_without_inbox(quirky):
    """LIST with RETURN leaves it out, or all; perhaps a plain one does, too."""
    def session(extended, plain):
        class Session(USUAL):
            def do_list(self, arguments, tag):
                shown = extended if "RETURN" in arguments else plain
                if '"*"' not in arguments:
                    shown = ["INBOX"]
                self.server.faults += "INBOX" not in shown
                for name in shown:
                    self.send('* LIST (%s) "/" %s' % (
                        "\\Trash" if name == "Third" and "RETURN" in arguments else "", name))
                return "OK done"
        return Session
    names = ["INBOX", "Other", "Third"]
    for extended, plain in ((names[1:], names), ([], names), (names[1:], names[1:])):
        boxes = {"INBOX": LETTERS, "Other": LETTERS[:2], "Third": []}
        server, mount = quirky.mount(session(extended, plain), boxes)
        assert sorted(os.listdir(mount.path)) == names
        all_there(mount)
        all_there(mount, (1, 2), "Other")
        assert server.faults
        plainly = len(server.sent(r'^LIST "" "\*"$'))
        mount.unmount()
        mount.__enter__()  # it is known
        assert sorted(os.listdir(mount.path)) == names
        lists = server.commands[-10:]
        assert len(server.sent(r'^LIST "" "\*"$')) > plainly
        assert lists.index('LIST "" "*"') == lists.index('LIST "" INBOX') - 1
        server.add("INBOX", letter(7))
        assert wait_for(lambda: len(listed(mount)) == 7)
        all_there(mount, range(1, 8))


def questions_that_end_the_connection(quirky):
    """Or are never answered: each is soon left out, and is in the next mount."""
    def session(verb, silent):
        class Session(USUAL):
            def read(self):
                line = super().read()
                if not re.match(r"\w+ " + verb, line):
                    return line
                self.server.faults += 1
                if silent:
                    self.server.hung.wait(60)
                self.close()
                raise EOFError
        return Session
    capabilities = scripted.CAPABILITIES + " COMPRESS=DEFLATE NOTIFY"
    hung = threading.Event()
    for verb, silent in itertools.chain(
            ((v, False) for v in ("ID", "ENABLE", "NAMESPACE", "COMPRESS", "LIST .*STATUS",
                                  "LIST .*RETURN", "NOTIFY")),
            ((v, True) for v in ("ID", "ENABLE", "NAMESPACE", "COMPRESS"))):
        made = session(verb, silent)
        made.do_notify = lambda self, arguments, tag: "OK done"
        server, mount = quirky.mount(made, capabilities=capabilities, options=["timeout=20"],
                                     hung=hung)
        all_there(mount)
        assert wait_for(lambda: server.faults), verb
        wait_for(lambda: verb != "NOTIFY" or server.faults >= 2)
        mount.unmount()
        most = 4 if "RETURN" in verb else 2  # first without STATUS, then not at all
        assert server.faults == most, (verb, silent, server.commands)
        mount.__enter__()
        all_there(mount)
        mount.unmount()
        assert server.faults == most, (verb, silent)
    hung.set()


def one_command_at_a_time(quirky):
    """Once it is signed in, a second one that comes before the first is answered ends the
    connection, or is lost, or refused."""
    def session(what):
        class Session(USUAL):
            def read(self):
                line = super().read()
                if not re.match(r"\w+ (UID|SELECT|EXAMINE|STATUS|LIST|LSUB)", line, re.I):
                    return line
                self.socket.setblocking(False)
                more = self.file.peek(1)
                self.socket.setblocking(True)
                if more:
                    self.server.faults += 1
                    if what == "close":
                        self.close()
                        raise EOFError
                    other = self.file.readline()
                    if what == "refuse":
                        self.send(other.split()[0] + b" BAD one at a time")
                return line
        return Session
    for what in ("close", "refuse", "lose"):
        server, mount = quirky.mount(session(what), options=["timeout=5"])
        assert wait_for(lambda: tried(lambda: len(listed(mount)) == 6)), what
        all_there(mount)
        assert server.faults == 2, what
        mount.unmount()
        mount.__enter__()  # it is known
        server.add("INBOX", letter(7))
        assert wait_for(lambda: len(listed(mount)) == 7)
        all_there(mount, range(1, 8))
        mount.unmount()
        assert server.faults == 2, what


def a_message_in_two_mailboxes(quirky):
    """As labels make them: it has one id."""
    class Session(USUAL):
        def item(self, message, item):
            if item.upper() == "X-GM-MSGID":
                self.server.faults += 1
                number = int(re.search(rb"number (\d+)", message.raw)[1])
                return b"X-GM-MSGID %d" % (18446744073709551000 + number)
            return super().item(message, item)
    boxes = {"INBOX": LETTERS[:2], "[Gmail]": scripted.Mailbox([], "\\Noselect"),
             "[Gmail]/All Mail": scripted.Mailbox(LETTERS[::-1], "\\All")}
    server, mount = quirky.mount(Session, boxes, capabilities=scripted.CAPABILITIES + " X-GM-EXT-1")
    all_there(mount, (1, 2))
    all_there(mount, mailbox="[Gmail]/All Mail")
    all_there(mount, (1, 2))
    assert server.faults


# ---- refusals that pass

def signed_in_and_not_connected(quirky):
    """The first connections open no mailbox; another does."""
    def session(words, sick):
        class Session(USUAL):
            def do_examine(self, arguments, tag):
                if self not in self.server.sessions[:sick]:
                    return super().do_examine(arguments, tag)
                self.server.faults += 1
                return words
        return Session
    for words in ("BAD User is authenticated but not connected.", "NO [SERVERBUG] oops",
                  "NO [UNAVAILABLE] later", "NO SELECT failed"):
        server, mount = quirky.mount(session(words, 2), options=["connections=1"])
        assert wait_for(lambda: tried(lambda: len(listed(mount)) == 6, errno.ENOENT),
                        pause=0.2), words
        all_there(mount)
        assert server.faults, words
        assert len(server.sessions) == 3, words


def an_unsafe_login(quirky):
    """No mailbox is opened for who does not say what program it is."""
    class Session(USUAL):
        def do_id(self, arguments, tag):
            self.told = '"name"' in arguments and '"version"' in arguments
            return super().do_id(arguments, tag)

        def do_select(self, arguments, tag, access="WRITE"):
            if not getattr(self, "told", False):
                return "NO SELECT Unsafe Login. Please contact us for help"
            return super().do_select(arguments, tag, access)
    _, mount = quirky.mount(Session)
    all_there(mount)


def a_mailbox_that_is_throttled(quirky):
    class Session(USUAL):
        def do_examine(self, arguments, tag):
            self.server.faults += 1
            if self.server.faults > 2:
                return super().do_examine(arguments, tag)
            return "NO Request is throttled. Suggested Backoff Time: 300 milliseconds"
    server, mount = quirky.mount(Session)
    assert wait_for(lambda: tried(lambda: len(listed(mount)) == 6))
    all_there(mount)
    assert server.faults > 2


# ---- names

def names_that_are_not_well_spelt(quirky):
    """They are said to the server as it said them."""
    names = {"A & B": "A & B", "Caf&AOk": "Caf&AOk", "Entwürfe": "Entwürfe", "x&&y": "x&&y",
             "[Gmail]": "[Gmail]"}
    boxes = {wire: [letter(n)] for n, wire in enumerate(names, 1)}
    server, mount = quirky.mount(mailboxes={"INBOX": [], **boxes})
    assert sorted(os.listdir(mount.path)) == sorted(["INBOX", *names.values()])
    for number, (wire, name) in enumerate(names.items(), 1):
        assert there(mount, number, name), wire
        assert any(scripted.values(c)[1] == wire for c in server.sent("^EXAMINE ")), wire


# ---- storing

def append_that_finds_it_there(usual_plain, mounts):
    """The server has it already, stores nothing, and says where it is."""
    store = usual_plain.store
    store.deliver("INBOX", letter(1))
    box = store.box("INBOX")
    known = usual_plain.refuse("^APPEND", "OK [APPENDUID %d %d] done" % (
        box.uidvalidity, box.messages[0].uid))
    mount = mounts(usual_plain, writes=True)
    (mount.path / "INBOX/copy.eml").write_bytes(letter(1))
    assert wait_for(lambda: known.done)
    all_there(mount, (1,))
    mount.unmount()
    assert known.done == 1 and len(box.messages) == 1


def append_that_names_another_place(usual_plain, mounts, monkeypatch):
    """APPENDUID with the UIDVALIDITY of another mailbox."""
    true = plainsession.Session.do_append

    def do_append(self, words, uid, tag):
        return re.sub(r"(?<=APPENDUID )\d+", lambda m: str(int(m[0]) + 77),
                      true(self, words, uid, tag))
    monkeypatch.setattr(plainsession.Session, "do_append", do_append)
    mount = mounts(usual_plain, writes=True)
    (mount.path / "INBOX/copy.eml").write_bytes(letter(1))
    assert wait_for(lambda: any("number 1 end" in e for e in listed(mount)))
    all_there(mount, (1,))
    mount.unmount()
    assert [m.raw for m in usual_plain.store.box("INBOX").messages] == [letter(1)]
    assert len(usual_plain.sent("^APPEND")) == 1

def append_that_search_does_not_find(usual_plain, mounts, monkeypatch):
    """Its answer is lost, and SEARCH denies that it is there."""
    monkeypatch.setattr(plainsession.Session, "do_search", lambda self, words, uid, tag: (
        self.say('* ESEARCH (TAG "%s") UID' % tag) or "OK done"))
    lost = usual_plain.drop("^APPEND", "executed")
    mount = mounts(usual_plain, writes=True)
    (mount.path / "INBOX/copy.eml").write_bytes(letter(1))
    assert wait_for(lambda: tried(lambda: there(mount, 1)))
    mount.unmount()
    assert lost.done == 1
    assert [m.raw for m in usual_plain.store.box("INBOX").messages] == [letter(1)]


# ---- all of them

def row(words, *shown):
    """Tests are named "test_x.py::test_y", "tests/a/b.c:the beginning of a string in it"."""
    return words, shown


IN = "tests/imap/test-%s.c:"
AT = "tests/fs/test-engine-%s.c:"
STRUCTURE, REPLY, FETCH, COPIED = (IN % n for n in ("structure", "reply", "fetch", "copied"))
OPEN, SESSION, CHANGE, LIVE = (IN % n for n in ("open", "session", "change", "live"))
BYTES, LIST, LINES, WATCH, PUSH = (AT % n for n in ("bytes", "list", "lines", "live", "push"))

QUIRKS = {
    1: row("EXPUNGE comes amid the answer to UID FETCH", expunged_amid_a_fetch,
           IN % "mailbox" + "/imap/mailbox/map"),
    2: row("flags of a message are told unasked, without its UID", expunged_amid_a_fetch,
           "test_tree.py::test_flaws_do_not_show", IN % "mailbox" + "/imap/mailbox/map"),
    3: row("sequence numbers are wrong after EXPUNGE", only_uids_are_sent),
    4: row("all UIDs are new", "test_identity.py::test_a_new_uidvalidity",
           "test_identity.py::test_a_new_uidvalidity_while_listed",
           LIST + "/engine/list/uidvalidity"),
    5: row("mailboxes share their UIDs and UIDVALIDITY", same_uids_in_two_mailboxes),
    6: row("UIDVALIDITY and other numbers are 0", LIST + "/engine/list/uidvalidity-zero",
           COPIED + "COPYUID 0 3 8"),
    7: row("OK without what was asked for, or with a made-up body",
           "test_tree.py::test_a_body_that_never_comes", BYTES + "/engine/bytes/placeholder",
           BYTES + "/engine/bytes/gone", FETCH + "* 0 FETCH (UID 5)"),
    8: row("numbers are negative, too long or no integers", REPLY + "/imap/reply/numbers",
           FETCH + "* 3 FETCH (RFC822.SIZE 9.37e+06", STRUCTURE + "/imap/structure/cases"),
    9: row("a message is in several mailboxes under one id", a_message_in_two_mailboxes),
    10: row("EXPUNGE only takes a label off", "test_change.py::test_rm",
            "test_change.py::test_rm_for_good"),
    11: row("APPEND of what it has stores nothing", append_that_finds_it_there),
    12: row("too many connections, told as a refused login", LINES + "/engine/lines/crowd",
            OPEN + "/imap/open/bad"),
    13: row("so much may be fetched in a day", "test_prefetch.py::test_the_server_limits",
            "test_prefetch.py::test_the_budget_of_a_day", "test_pause.py::test_a_reader_of_many"),
    14: row("a response code without text", REPLY + "* OK [HIGHESTMODSEQ 715194045007]"),
    15: row("COPYUID in the tagged answer to MOVE", CHANGE + "MOVE, told tagged",
            CHANGE + "MOVE, told untagged"),
    16: row("BODYSTRUCTURE makes no sense", "test_tree.py::test_flaws_do_not_show",
            STRUCTURE + "/imap/structure/cases", AT % "bytes" + "/engine/parts/broken"),
    17: row("names are refused, localized, or of nothing that can be selected",
            names_that_are_not_well_spelt, "test_tree.py::test_delimiters",
            "test_change.py::test_folders", PUSH + "/engine/push/create-refused"),
    18: row("CONDSTORE without QRESYNC", WATCH + "/engine/live/tier-",
            LIST + "/engine/list/condstore"),
    19: row("SEARCH does not find a Message-ID", append_that_search_does_not_find,
            AT % "push-lost" + "/engine/push/append/plain",
            AT % "push-lost" + "/engine/push/append/other"),
    20: row("signed in, and nothing can be done", signed_in_and_not_connected),
    21: row("throttled for so many milliseconds", a_mailbox_that_is_throttled,
            LINES + "/engine/lines/throttle", "test_pause.py::test_a_pause_of_no_length",
            "test_pause.py::test_what_is_cached"),
    22: row("RFC822.SIZE is not the message's", "test_readers.py::test_on_the_scripted_server",
            "test_readers.py::test_sizes_that_prove_wrong_later",
            BYTES + "/engine/bytes/wrong-size"),
    23: row("neither CONDSTORE nor QRESYNC", LIST + "/engine/list/plain",
            WATCH + "/engine/live/plain-pieces"),
    24: row("COPYUID with empty sets", COPIED + "COPYUID 7  ", CHANGE + "MOVE of what is gone"),
    25: row("FETCH items in any order", "test_tree.py::test_flaws_do_not_show"),
    26: row("BODYSTRUCTURE with NIL where words must be", STRUCTURE + "(NIL NIL NIL NIL NIL"),
    27: row("odd names in LIST without quotes", REPLY + "* LIST () \\\"/\\\" my mail (old)"),
    28: row("a continuation without a blank", OPEN + "a bare plus"),
    29: row("lines that are no IMAP, and answers twice", lines_that_mean_nothing,
            REPLY + "Server Unavailable. 15"),
    30: row("questions of the start end the connection or are refused",
            questions_that_end_the_connection, SESSION + "extended LIST is refused",
            SESSION + "LIST and LSUB", OPEN + "ID and ENABLE in one write, refused"),
    31: row("commands that do not wait for answers are too much", one_command_at_a_time),
    32: row("a message or a line of it is too long", PUSH + "/engine/push/append-refused",
            PUSH + "/engine/push/append-too-big", "test_save.py::test_too_big"),
    33: row("ESEARCH without what to return; SEARCH as its answer", esearch_answered_as_of_old,
            a_search_that_lists_what_is_not_there,
            SESSION + "ESEARCH"),
    34: row("APPENDUID tells of another place", append_that_names_another_place),
    35: row("only the newest messages are shown", LIST + "/engine/list/partial"),
    36: row("one bad message blocks its range", one_message_that_cannot_be_fetched,
            many_messages_that_cannot_be_fetched,
            "test_prefetch.py::test_one_message_cannot_be_had", LIST + "/engine/list/refused"),
    37: row("so many commands, of such a length", LINES + "/engine/lines/throttle",
            SESSION + "/imap/session/split", "test_pause.py::test_a_reader_of_many"),
    38: row("RFC822 brings nothing, BODY[] does", only_uids_are_sent),
    39: row("QRESYNC tells wrong things", OPEN + "QRESYNC that is broken",
            WATCH + "/engine/live/lowered", WATCH + "/engine/live/audit"),
    40: row("ENABLE does not say what it did", LIVE + "ENABLED is empty",
            LIVE + "ENABLED is missing, and yet it is on"),
    41: row("ENVELOPE with quotes within quotes", only_uids_are_sent,
            FETCH + "* 3 FETCH (X \\\"unescaped"),
    42: row("no mailbox without ID; sets must ascend; STATUS is empty", an_unsafe_login,
            REPLY + "* STATUS x ()", IN % "uidset" + "/imap/uidset/random"),
    43: row("BODY[] without a value; BYE without end; wrong modified UTF-7", byes_without_end,
            names_that_are_not_well_spelt, "test_tree.py::test_a_body_that_never_comes",
            IN % "utf7" + "/imap/utf7/refused"),
    44: row("too small a size; more than the range that was asked for", a_range_that_is_not_kept,
            BYTES + "/engine/bytes/no-partial", BYTES + "/engine/bytes/wrong-size-asked"),
    45: row("sizes of 0, ranges that are ignored", "test_readers.py::test_on_the_scripted_server",
            "test_tree.py::test_flaws_do_not_show"),
    46: row("literals shorter or longer than said", literals_of_another_length,
            IN % "parse" + "* 1 FETCH (BODY[] {4}"),
    47: row("MOVE is offered and refused", PUSH + "/engine/push/move-by-copy",
            PUSH + "/engine/push/move-refused"),
    48: row("extended LIST is refused, APPENDUID left out", SESSION + "extended LIST is refused",
            PUSH + "/engine/push/append-silent"),
    49: row("ENVELOPE and BODYSTRUCTURE with too many or too few levels", only_uids_are_sent,
            STRUCTURE + "(NIL \\\"alternative\\\""),
    50: row("COPYUID without OK; LIST leaves INBOX out; LITERAL + in two words",
            a_list_without_inbox, REPLY + "* [COPYUID 7 1 2]", REPLY + "* CAPABILITY LITERAL +"),
    51: row("too many connections of an address", LINES + "/engine/lines/crowd"),
    52: row("IDLE dies in silence", WATCH + "/engine/live/idle-again",
            LIVE + "/imap/live/idle-deaf",
            "test_deadnet.py::test_ends_in_an_idle_that_is_not_answered"),
    53: row("an old tag in a new connection", tags_are_never_used_again),
    54: row("UTF-8 in LIST that nobody agreed to", names_that_are_not_well_spelt,
            IN % "utf7" + "/imap/utf7/not-utf8"),
    55: row("BINARY fails", only_uids_are_sent),
    56: row("the selected mailbox is not told of what was stored there",
            "test_save.py::test_on_each_server", PUSH + "/engine/push/append-silent"),
    57: row("SELECT is throttled; the server's state is lost", a_mailbox_that_is_throttled,
            WATCH + "/engine/live/lowered"),
}

# beside them: a dialogue that ends at each byte of what the server says
CUTS = row("the connection is cut, or silent, at any byte", AT % "cuts" + "/engine/cuts/",
           "tests/imap/test-session.c:/imap/session/cut", OPEN + "/imap/open/cut")

def exists(name):
    file, _, what = name.partition("::")
    if what:
        return re.search(r"^def %s\(" % what, (TESTS / "system" / file).read_text(), re.M)
    file, _, what = name.partition(":")
    return '"' + what in (TESTS.parent / file).read_text()


def test_all_are_shown():
    assert sorted(QUIRKS) == list(range(1, 58))
    shown = [s for words, shown in (*QUIRKS.values(), CUTS) for s in shown]
    assert all(shown for _, shown in QUIRKS.values())
    assert [s for s in shown if isinstance(s, str) and not exists(s)] == []
    assert not exists("test_tree.py::test_no_such") and not exists(LIST + "/engine/no-such")


SCENARIOS = list(dict.fromkeys(s for _, shown in QUIRKS.values() for s in shown if callable(s)))


def play(request, scenario):
    wanted = scenario.__code__.co_varnames[:scenario.__code__.co_argcount]
    scenario(**{name: request.getfixturevalue(name) for name in wanted})


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__)
def test_scenario(request, scenario):
    play(request, scenario)
