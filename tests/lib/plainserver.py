"""A small but true IMAP4rev1 server over a store in memory. What it can do is switched on by name.

    with PlainServer({"INBOX": [message], "Trash": []}, capabilities=("UIDPLUS",)) as server:
        server.imap_port, server.sent("^UID MOVE")          # the commands that came
        server.store.deliver("INBOX", raw)                  # what another client does
        server.store.box("INBOX").read_only = True
        server.store.quota = 100                            # KiB
        server.refuse("^APPEND", "NO [TOOBIG] too much")
        server.drop("^UID MOVE", "executed")                # the answer is lost

Without capabilities it is bare IMAP4rev1: no MOVE, no UIDPLUS, literals that wait. A command of an
extension that is not offered is answered BAD, and listed in `violations`. The store outlives all
connections. Further knobs:

    omit        a set of response codes that are left out: COPYUID, APPENDUID
    tagged      COPYUID of MOVE comes in its tagged answer, not before it
    early       APPEND is refused before its literal is asked for, where that is known
    promised    capabilities that are only told until the client has signed in
"""
import re
import threading
from dataclasses import dataclass
from typing import Optional

from .client import Client
from .listener import Listener
from .mailstore import Store
from .plainsession import Session

KNOWN = {"MOVE", "UIDPLUS", "LITERAL+", "LITERAL-", "CONDSTORE", "ESEARCH", "LIST-EXTENDED",
         "LIST-STATUS", "SPECIAL-USE", "CREATE-SPECIAL-USE", "QUOTA", "ACL", "NAMESPACE", "ID",
         "ENABLE", "UNSELECT", "IDLE", "SASL-IR", "OBJECTID", "APPENDLIMIT"}
USUAL = ("MOVE", "UIDPLUS", "LITERAL+", "CONDSTORE", "ESEARCH", "LIST-EXTENDED", "LIST-STATUS",
         "SPECIAL-USE", "NAMESPACE", "ID", "ENABLE", "UNSELECT", "IDLE", "SASL-IR")


@dataclass
class Fault:
    """What is to happen to commands that match `pattern`: from the `nth` on, so many `times`."""

    pattern: str
    answer: Optional[str] = None  # "NO [CODE] text", and it is not executed
    drop: Optional[str] = None    # "before" it is executed, once "executed", once "answered"
    delay: float = 0
    hold: Optional[threading.Event] = None  # nothing is done or said before it is set
    silent: bool = False          # executed and never answered
    nth: int = 1
    times: Optional[int] = None   # None: always
    seen: int = 0
    done: int = 0

    def meets(self, line):
        if not re.search(self.pattern, line, re.I):
            return False
        self.seen += 1
        if self.seen < self.nth or (self.times is not None and self.done >= self.times):
            return False
        self.done += 1
        return True


class PlainServer(Listener):
    """`mailboxes`: {wire name: messages (bytes, or with raw, flags and date)}; those named like a
    special use get it. `capabilities`: more than IMAP4rev1, of KNOWN, and "APPENDLIMIT=N"."""

    name = "plain"
    ca = None

    def __init__(self, mailboxes=(), capabilities=(), delimiter="/", password="secret"):
        self.capabilities = [c.upper() for c in capabilities]
        assert {c.split("=")[0] for c in self.capabilities} <= KNOWN, self.capabilities
        self.store = Store(delimiter)
        for name, messages in dict(mailboxes).items():
            use = "\\" + name
            known = use in ("\\Trash", "\\Sent", "\\Drafts", "\\Archive", "\\Junk")
            if name != "INBOX":
                self.store.create(name, [use] if known else [])
            for message in messages:
                self.store.deliver(name, getattr(message, "raw", message),
                                   getattr(message, "flags", ""), getattr(message, "date", None))
        self.password = password
        self.remembers_list = False  # a session lists what it listed first, until it changes that
        self.omit, self.tagged, self.early = set(), False, False
        self.promised = ()
        self.faults = []
        self.log = []         # (number of the connection, the command without its tag)
        self.violations = []
        self.sessions = []
        self.stopping = threading.Event()

    # -- life

    def __exit__(self, *exception):
        self.stopping.set()
        self.go_away()

    @property
    def imap_port(self):
        return self.port

    def took(self, connection):
        session = Session(self, connection, len(self.sessions) + 1)
        self.sessions.append(session)
        session.thread.start()

    def cut(self):
        """Ends all connections; new ones are welcome."""
        for session in self.sessions:
            session.close()

    def go_away(self):
        """Ends all connections and refuses new ones."""
        self.end_listening()
        self.cut()
        for session in self.sessions:
            session.thread.join(10)

    def come_back(self):
        self.listen(self.port)

    def add_user(self, user):
        """Whoever has the password may sign in; there is one account."""

    def set_rights(self, user, mailbox, rights):
        with self.store.changed:
            self.store.box(mailbox).rights = rights

    def set_quota(self, user, kib):
        self.store.quota = kib

    def client(self, user="alice"):
        return Client(self.imap_port, user, self.password)

    def has(self, capability):
        return capability in self.capabilities

    # -- misbehaviour

    def fault(self, pattern, **what):
        self.faults.append(Fault(pattern, **what))
        return self.faults[-1]

    def refuse(self, pattern, answer, **when):
        """Answers commands that match, without executing them."""
        return self.fault(pattern, answer=answer, **when)

    def drop(self, pattern, where="before", nth=1):
        """Drops the connection at the nth command that matches: "before" it is executed, when it is
        "executed" but not answered, or when it is "answered"."""
        return self.fault(pattern, drop=where, nth=nth, times=1)

    def met(self, line):
        with self.store.changed:
            return next((f for f in self.faults if f.meets(line)), None)

    # -- what came

    @property
    def commands(self):
        return [line for _, line in self.log]

    def sent(self, pattern):
        """The commands that match, ignoring case."""
        return [c for c in self.commands if re.search(pattern, c, re.I)]
