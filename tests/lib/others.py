"""What other clients of an account do, and what they see: plain connections to the server itself.

Works on Dovecot, Cyrus and PlainServer alike.

    with Other(server, user) as other:
        uid = other.deliver("INBOX", raw)
        other.mark_deleted("INBOX", [uid])
    assert_one_each(server, user, {"<1@x>": Copy("Archive", {"\\\\Seen"}, None, None)})
"""
import hashlib
import imaplib
import re
import time
from typing import NamedTuple, Optional

from .servers import PASSWORD

imaplib._MAXLINE = 1 << 26
FETCHED = re.compile(rb"\(?UID (\d+)|FLAGS \(([^)]*)\)|INTERNALDATE \"([^\"]*)\"")
MESSAGE_ID = re.compile(rb"(?mi)^Message-ID:[ \t\r\n]*(\S+)")


class Copy(NamedTuple):
    """One copy of a message. Where a wanted one has None, anything will do."""

    folder: Optional[str]            # the wire's name
    flags: Optional[frozenset]       # lower case, without \\recent
    internaldate: Optional[int]      # seconds since 1970
    sha256: Optional[str]            # of BODY[]

    def meets(self, wanted):
        return all(w is None or w == g for w, g in zip(wanted, self))


def copy_of(folder, raw, flags=(), internaldate=None):
    """The copy that there should be of these bytes."""
    return Copy(folder, None if flags is None else frozenset(f.lower() for f in flags),
                internaldate, hashlib.sha256(raw).hexdigest())


def message_id(raw):
    """Its Message-ID; without one, its hash."""
    found = MESSAGE_ID.search(raw.split(b"\r\n\r\n", 1)[0] + b"\r\n")
    return found[1].decode("latin-1") if found else "sha256:" + hashlib.sha256(raw).hexdigest()


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def uid_set(uids):
    return ",".join(map(str, uids))


class Refusal(Exception):
    """The server said NO or BAD."""


class Other:
    """A connection. Folders are named as on the wire; UIDs are lists."""

    def __init__(self, server, user="alice"):
        self.account = server, user
        self.connect()

    def connect(self):
        server, user = self.account
        self.imap = imaplib.IMAP4("127.0.0.1", server.imap_port, 120)
        self.done(self.imap.login(user, PASSWORD))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.disconnect()

    def disconnect(self):
        try:
            self.imap.logout()
        except (OSError, imaplib.IMAP4.error):
            self.imap.shutdown()

    def done(self, answer):
        if answer[0] != "OK":
            raise Refusal("%s %s" % (answer[0], answer[1]))
        return answer[1]

    def uid(self, *words):
        try:
            return self.done(self.imap.uid(*words))
        except imaplib.IMAP4.error as error:
            raise Refusal(str(error)) from None

    def select(self, folder, readonly=False):
        try:
            self.done(self.imap.select(quoted(folder), readonly))
        except imaplib.IMAP4.readonly as error:
            self.imap.is_readonly = True
            raise Refusal(str(error)) from None

    # -- what they do

    def deliver(self, folder, raw, flags=(), date=None):
        """`date`: "01-Mar-2025 12:00:00 +0000", or seconds. Returns the UID, if it was told."""
        when = '"%s"' % date if isinstance(date, str) else (
            imaplib.Time2Internaldate(date if date is not None else time.time()))
        self.done(self.imap.append(quoted(folder), "(%s)" % " ".join(flags), when, raw))
        code = self.imap.response("APPENDUID")[1]
        return int(code[-1].split()[1]) if code and code[-1] else None

    def mark(self, folder, uids, flags, how="+"):
        self.select(folder)
        self.uid("STORE", uid_set(uids), how + "FLAGS.SILENT", "(%s)" % " ".join(flags))

    def mark_deleted(self, folder, uids):
        self.mark(folder, uids, ["\\Deleted"])

    def expunge(self, folder, uids=None):
        """Of those marked \\Deleted all, or these; with UIDs they are marked first."""
        if uids is None:
            self.select(folder)
            self.done(self.imap.expunge())
            return
        self.mark_deleted(folder, uids)
        self.uid("EXPUNGE", uid_set(uids))

    def move(self, folder, uids, target):
        self.select(folder)
        self.uid("MOVE", uid_set(uids), quoted(target))

    def create(self, folder):
        self.done(self.imap.create(quoted(folder)))

    def rename(self, old, new):
        self.done(self.imap.rename(quoted(old), quoted(new)))

    def delete(self, folder):
        self.done(self.imap.delete(quoted(folder)))

    # -- what they see

    def folders(self):
        """{wire name: attributes in lower case} of all that can be selected."""
        found = {}
        for line in self.done(self.imap.list()):
            if line is None or line == b"":
                continue
            head, literal = line if isinstance(line, tuple) else (line, None)
            parts = re.match(rb'\(([^)]*)\) (?:NIL|"(?:[^"\\]|\\.)*") (.*)$', head, re.S)
            name = literal if literal is not None else parts[2]
            if name.startswith(b'"') and literal is None:
                name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
            attributes = set(parts[1].decode().lower().split())
            if not attributes & {"\\noselect", "\\nonexistent"}:
                found[name.decode("utf-8", "surrogateescape")] = attributes
        return found

    def subscribed(self):
        return {re.sub(rb'^.* "?(.*?)"?$', rb"\1", line).decode()
                for line in self.done(self.imap.lsub()) if line}

    def uids(self, folder, *search):
        self.select(folder, True)
        return [int(u) for u in self.uid("SEARCH", *(search or ("ALL",)))[0].split()]

    def messages(self, folder):
        """{UID: (Message-ID, Copy)} of a folder; changes nothing."""
        self.select(folder, True)
        found, values = {}, {}
        for piece in self.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])"):
            head, raw = piece if isinstance(piece, tuple) else (piece or b"", None)
            # an answer begins with its number; what follows its literal is its rest
            if re.match(rb"\d+ \(", head):
                values = {}
            for words in FETCHED.finditer(head):
                values.update({n: words[n] for n in (1, 2, 3) if words[n] is not None})
            if raw is not None:
                values["raw"] = raw
            if {1, 2, 3, "raw"} <= set(values):
                found[int(values[1])] = (message_id(values["raw"]), copy_read(folder, values))
        return found

    def copies(self):
        """{Message-ID: [Copy, ...]} of the whole account; once more if a mailbox goes meanwhile,
        on a new connection, since Dovecot may keep what it listed before on this one."""
        for _ in range(20):
            try:
                return self.copies_now()
            except Refusal:
                time.sleep(0.1)
                self.disconnect()
                self.connect()
        return self.copies_now()

    def copies_now(self):
        found = {}
        for folder in self.folders():
            for key, copy in self.messages(folder).values():
                found.setdefault(key, []).append(copy)
        self.select("INBOX")  # who stays in a mailbox that is removed is shown the door
        return found


def copy_read(folder, values):
    flags = frozenset(f for f in values[2].decode("latin-1").lower().split() if f != "\\recent")
    when = imaplib.Internaldate2tuple(b'INTERNALDATE "%s"' % values[3])
    return Copy(folder, flags, int(time.mktime(when)) if when else None,
                hashlib.sha256(values["raw"]).hexdigest())


def copies(server, user="alice"):
    with Other(server, user) as other:
        return other.copies()


def state(server, user="alice"):
    """{Message-ID: Copy} of an account; fails if a message is there more than once."""
    found = copies(server, user)
    twice = {k: v for k, v in found.items() if len(v) > 1}
    assert not twice, "more than one copy: %s" % twice
    return {k: v[0] for k, v in found.items()}


def problems_with(found, wanted):
    """What is not as wanted, one line each; `found` as copies() gives it."""
    lines = ["%s is lost" % k for k in wanted if k not in found]
    lines += ["%s has come from nowhere: %s" % (k, found[k]) for k in found if k not in wanted]
    for key in sorted(found.keys() & wanted.keys()):
        if len(found[key]) > 1:
            lines.append("%s is there %d times: %s" % (key, len(found[key]), found[key]))
        elif not found[key][0].meets(wanted[key]):
            lines.append("%s is %s, not %s" % (key, found[key][0], wanted[key]))
    return lines


def assert_one_each(server, user, wanted):
    """The account has exactly one copy of each wanted message, as wanted ({Message-ID: Copy}), and
    no other message."""
    problems = problems_with(copies(server, user), wanted)
    assert not problems, "\n".join(problems)
