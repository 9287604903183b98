"""A mail store in memory: mailboxes, messages, UIDs, flags, dates. plainserver serves it."""
import datetime
import hashlib
import itertools
import re
import threading

from .structure import Part

ALL_RIGHTS = "lrswipkxtea"
SYSTEM_FLAGS = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")
DATE = "%d-%b-%Y %H:%M:%S %z"


class Refused(Exception):
    """What the server answers NO to: "[CODE] text"."""


def parse_date(text):
    """INTERNALDATE as an aware datetime."""
    return datetime.datetime.strptime(text.strip(), DATE)


def spelled(flags):
    """Flags as a set of words, system flags in the RFC's letters; \\Recent is nobody's to set."""
    words = flags.split() if isinstance(flags, str) else flags
    known = {f.lower(): f for f in SYSTEM_FLAGS}
    return {known.get(w.lower(), w) for w in words if w.lower() != "\\recent"}


class Message:
    """One copy of a message. `emailid` is the same for all copies (RFC 8474)."""

    def __init__(self, uid, raw, flags=(), date=None, emailid=None):
        self.uid, self.raw, self.flags = uid, raw, spelled(flags)
        self.date = parse_date(date) if isinstance(date, str) else (
            date or datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0))
        self.emailid = emailid or "M" + hashlib.sha256(raw).hexdigest()[:20]
        self.modseq = 0
        self.parsed = None

    @property
    def part(self):
        if not self.parsed:
            self.parsed = Part(self.raw)
        return self.parsed

    @property
    def message_id(self):
        found = re.search(rb"(?mi)^Message-ID:\s*(\S+)", self.part.header)
        return found[1].decode("latin-1") if found else None


class Mailbox:
    """`rights` are ours in it (RFC 4314); `keywords`: new ones may be made; `attributes`: what LIST
    says, such as \\Trash."""

    def __init__(self, uidvalidity, attributes=()):
        self.uidvalidity, self.attributes = uidvalidity, set(attributes)
        self.mailboxid = "F%d" % uidvalidity  # stays (RFC 8474)
        self.messages = []  # in the order of their UIDs
        self.uidnext = 1
        self.modseq = 1
        self.rights = ALL_RIGHTS
        self.keywords = True
        self.subscribed = False
        self.gone = False

    @property
    def selectable(self):
        return "\\Noselect" not in self.attributes

    @property
    def read_only(self):
        return not set(self.rights) & set("swite")

    @read_only.setter
    def read_only(self, value):
        self.rights = "lr" if value else ALL_RIGHTS

    def need(self, right):
        if right not in self.rights:
            raise Refused("[NOPERM] you lack the right %s" % right)

    def find(self, uids):
        wanted = set(uids)
        return [m for m in self.messages if m.uid in wanted]

    def touch(self, message):
        self.modseq += 1
        message.modseq = self.modseq

    def add(self, raw, flags=(), date=None, emailid=None):
        message = Message(self.uidnext, raw, flags, date, emailid)
        self.uidnext += 1
        self.messages.append(message)
        self.touch(message)
        return message

    def remove(self, uids):
        wanted = set(uids)
        gone = [m.uid for m in self.messages if m.uid in wanted]
        self.messages = [m for m in self.messages if m.uid not in wanted]
        self.modseq += bool(gone)
        return gone

    def change(self, message, how, flags):
        """`how`: "+", "-" or "". Unknown keywords are dropped where none may be made."""
        flags = spelled(flags)
        if not self.keywords:
            flags = {f for f in flags if f.startswith("\\")}
        new = message.flags | flags if how == "+" else (
            message.flags - flags if how == "-" else flags)
        if new != message.flags:
            message.flags = new
            self.touch(message)

    def known_keywords(self):
        return sorted({f for m in self.messages for f in m.flags if not f.startswith("\\")})


class Store:
    """An account. Names are the wire's. Everything is done under `changed`, a condition that is
    notified of each change; methods take it themselves."""

    def __init__(self, delimiter="/"):
        self.delimiter = delimiter
        self.changed = threading.Condition(threading.RLock())
        self.mailboxes = {}
        self.validities = itertools.count(1700000001)
        self.quota = None  # KiB
        self.rename_renews = False  # RENAME gives a new UIDVALIDITY
        self.create("INBOX")

    def told(self):
        self.changed.notify_all()

    def key(self, name):
        return "INBOX" if name.upper() == "INBOX" else name

    def box(self, name):
        found = self.mailboxes.get(self.key(name))
        if not found:
            raise Refused("[NONEXISTENT] no mailbox %s" % name)
        return found

    def children(self, name):
        if not self.delimiter:
            return []
        return [n for n in self.mailboxes if n.startswith(name + self.delimiter)]

    # -- mailboxes

    def create(self, name, attributes=()):
        with self.changed:
            bare = name.rstrip(self.delimiter) if self.delimiter else name
            name = self.key(bare)
            if not name:
                raise Refused("[CANNOT] no name")
            old = self.mailboxes.get(name)
            if old and old.selectable:
                raise Refused("[ALREADYEXISTS] %s is there" % name)
            words = name.split(self.delimiter) if self.delimiter else [name]
            for depth in range(1, len(words) + 1):
                above = self.key(self.delimiter.join(words[:depth])) if depth < len(words) else name
                if above not in self.mailboxes or above == name:
                    self.mailboxes[above] = Mailbox(next(self.validities))
            self.mailboxes[name].attributes |= set(attributes)
            self.told()
            return self.mailboxes[name]

    def delete(self, name):
        with self.changed:
            name = self.key(name)
            box = self.box(name)
            box.need("x")
            if name == "INBOX":
                raise Refused("[CANNOT] INBOX stays")
            below = self.children(name)
            if below and not box.selectable:
                raise Refused("[HASCHILDREN] there are some below it")
            box.gone = True
            del self.mailboxes[name]
            if below:
                self.mailboxes[name] = Mailbox(next(self.validities), ["\\Noselect"])
            self.told()

    def rename(self, old, new):
        with self.changed:
            old = self.key(old)
            box = self.box(old)
            box.need("x")
            if self.key(new) in self.mailboxes:
                raise Refused("[ALREADYEXISTS] %s is there" % new)
            if old == "INBOX":
                return self.rename_inbox(box, new)
            if self.delimiter and new.startswith(old + self.delimiter):
                raise Refused("[CANNOT] not below itself")
            parent = new.rpartition(self.delimiter)[0] if self.delimiter else ""
            if parent and self.key(parent) not in self.mailboxes:
                self.create(parent)
            for name in [old, *self.children(old)]:
                moved = self.mailboxes.pop(name)
                self.mailboxes[new + name[len(old):]] = moved
                if self.rename_renews:
                    moved.uidvalidity = next(self.validities)
            self.told()

    def rename_inbox(self, box, new):
        """RFC 3501, 6.3.5: the messages go, INBOX stays."""
        self.create(new)
        self.copy("INBOX", [m.uid for m in box.messages], new, move=True)

    # -- messages

    def used(self):
        """KiB of all mail."""
        return sum(len(m.raw) for b in self.mailboxes.values() for m in b.messages) // 1024

    def need_room(self, octets):
        if self.quota is not None and self.used() + octets / 1024 > self.quota:
            raise Refused("[OVERQUOTA] the quota is exceeded")

    def deliver(self, name, raw, flags=(), date=None):
        """Returns the new UID."""
        with self.changed:
            uid = self.box(name).add(raw, flags, date).uid
            self.told()
            return uid

    def mark(self, name, uids, add=(), remove=()):
        with self.changed:
            box = self.box(name)
            for message in box.find(uids):
                box.change(message, "+", add)
                box.change(message, "-", remove)
            self.told()

    def expunge(self, name, uids=None):
        """These UIDs, marked or not; without UIDs all that are marked \\Deleted."""
        with self.changed:
            box = self.box(name)
            if uids is None:
                uids = [m.uid for m in box.messages if "\\Deleted" in m.flags]
            gone = box.remove(uids)
            self.told()
            return gone

    def copy(self, name, uids, target, move=False):
        """Returns (UIDs there were, UIDs in the target). INTERNALDATE and flags come along."""
        with self.changed:
            box, to = self.box(name), self.box(target)
            found = box.find(uids)
            if not move:
                self.need_room(sum(len(m.raw) for m in found))
            made = [to.add(m.raw, m.flags, m.date, m.emailid).uid for m in found]
            if move:
                box.remove(m.uid for m in found)
            self.told()
            return [m.uid for m in found], made

    def renew(self, name):
        """A new UIDVALIDITY, and all messages get new UIDs: what a restored backup does."""
        with self.changed:
            box = self.box(name)
            old, box.messages = box.messages, []
            box.uidvalidity, box.uidnext = next(self.validities), 1
            for message in old:
                box.add(message.raw, message.flags, message.date, message.emailid)
            self.told()

    def uids(self, name):
        return [m.uid for m in self.box(name).messages]

    def copies(self):
        """{Message-ID: [(mailbox, Message), ...]} of the whole account."""
        found = {}
        with self.changed:
            for name, box in self.mailboxes.items():
                for message in box.messages:
                    found.setdefault(message.message_id, []).append((name, message))
        return found
