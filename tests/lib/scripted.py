"""A small IMAP4rev1 server over given messages, with flaws that can be switched on by name.

    server = Scripted({"INBOX": [message, ...]}, flaws={"size": lambda n: 0})
    with server: ... server.port ... server.commands ...

It knows what a reading client sends. Flaws (name: value):

    greeting        the first line, instead of "* OK"
    login           the tagged answer to LOGIN and AUTHENTICATE, such as "NO not today"
    silent          a word: the command with it in front is never answered
    size            function: RFC822.SIZE is what it makes of the true size
    structure       function of (uid, true BODYSTRUCTURE): what is sent instead
    body            function of (uid, section, bytes): the bytes sent instead; None: NIL
    no_body         a set of UIDs whose body sections are left out of the answer
    whole           partial fetches are answered with everything, without an origin
    hang_after      so many octets of a body, then nothing more
    cut_after       so many octets of a body, then the connection is closed
    fetch           the tagged answer to UID FETCH, such as "NO [UNAVAILABLE] try later"
    uid_last        UID comes last in a FETCH answer
    chatter         unsolicited FETCH FLAGS without UID, OK and RECENT lines within every answer
"""
import base64
import re
import ssl
import threading

from .listener import Listener, shut
from .structure import Part

CAPABILITIES = ("IMAP4rev1 SASL-IR LITERAL+ ID ENABLE NAMESPACE UIDPLUS UNSELECT IDLE CONDSTORE "
                "ESEARCH LIST-EXTENDED LIST-STATUS SPECIAL-USE AUTH=PLAIN")
LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r\n$")
TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s()]*\[[^\]]*\](?:<[\d.]+>)?)|([^\s()]+)|([()])')


class Hang(Exception):
    pass


class Stored:
    def __init__(self, uid, raw, flags, date):
        self.uid, self.raw, self.flags, self.date = uid, raw, flags, date
        self.part = Part(raw)


class Mailbox:
    def __init__(self, messages, attributes="", uidvalidity=1700000001):
        self.attributes, self.uidvalidity = attributes, uidvalidity
        self.messages = []
        self.next = 1
        for message in messages:
            self.add(message)

    def add(self, message):
        raw = getattr(message, "raw", message)
        date = getattr(message, "date", "01-Mar-2025 12:00:00 +0000")
        self.messages.append(Stored(self.next, raw, getattr(message, "flags", ""), date))
        self.next += 1


class Scripted(Listener):
    """`mailboxes`: {wire name: messages, or a Mailbox}. `tls`: (certificate, key), then the port
    speaks TLS; `starttls`: the same, offered as STARTTLS."""

    def __init__(self, mailboxes, flaws=None, delimiter="/", capabilities=CAPABILITIES, tls=None,
                 starttls=None, password="secret"):
        self.mailboxes = {name: m if isinstance(m, Mailbox) else Mailbox(m)
                          for name, m in mailboxes.items()}
        self.flaws = dict(flaws or {})
        self.delimiter, self.capabilities = delimiter, capabilities
        self.tls, self.starttls, self.password = tls, starttls, password
        self.commands = []  # every command's line, without its tag; literals left off
        self.sessions = []
        self.changed = threading.Condition()

    def __exit__(self, *exception):
        self.end_listening()
        self.cut()

    def took(self, connection):
        session = Session(self, connection)
        self.sessions.append(session)
        threading.Thread(target=session.run, daemon=True).start()

    def cut(self):
        for session in self.sessions:
            session.close()

    def add(self, mailbox, message):
        """New mail; sessions that idle there are told."""
        with self.changed:
            self.mailboxes[mailbox].add(message)
            self.changed.notify_all()

    def sent(self, pattern):
        """The commands that match, ignoring case."""
        return [c for c in self.commands if re.search(pattern, c, re.I)]


class Session:
    def __init__(self, server, connection):
        self.server, self.socket = server, connection
        self.raw_socket = connection
        self.selected = None
        self.seen = 0
        self.out = []

    # -- wire

    def close(self):
        shut(self.raw_socket)

    def wrap(self, files):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, files))
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.raw_socket = self.socket
        self.file = self.socket.makefile("rb")

    def run(self):
        try:
            self.file = self.socket.makefile("rb")
            if self.server.tls:
                self.wrap(self.server.tls)
            self.send(self.server.flaws.get("greeting", "* OK [CAPABILITY %s] scripted server ready"
                                            % self.offered()))
            while self.serve():
                pass
        except (OSError, EOFError, ValueError):
            pass
        finally:
            try:
                self.file.close()
                self.socket.close()
            except OSError:
                pass

    def send(self, line):
        self.socket.sendall((line.encode() if isinstance(line, str) else line) + b"\r\n")

    def read(self):
        """One command line; literals are put in as quoted text."""
        line = b""
        while True:
            piece = self.file.readline()
            if not piece.endswith(b"\n"):
                raise EOFError
            literal = LITERAL.search(piece)
            if not literal:
                return (line + piece).decode("utf-8", "surrogateescape").rstrip("\r\n")
            if not literal[2]:
                self.send("+ go on")
            data = self.file.read(int(literal[1]))
            data = data.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
            line += piece[:literal.start()] + b'"' + data + b'"'

    # -- commands

    def offered(self):
        words = self.server.capabilities
        secure = isinstance(self.socket, ssl.SSLSocket)
        return words + (" STARTTLS" if self.server.starttls and not secure else "")

    def serve(self):
        line = self.read()
        tag, _, rest = line.partition(" ")
        self.server.commands.append(re.sub(r'^(LOGIN \S+) .*', r"\1 ...", rest, flags=re.I))
        words = rest.split()
        verb = words[0].upper() if words else ""
        if verb == "UID":
            verb = "UID_" + words[1].upper()
            rest = rest.partition(" ")[2]
        arguments = rest.partition(" ")[2]
        silent = self.server.flaws.get("silent")
        if silent and rest.upper().startswith(silent):
            return True
        handler = getattr(self, "do_" + verb.lower(), None)
        if not handler:
            self.send(tag + " BAD unknown command")
            return True
        try:
            answer = handler(arguments, tag)
        except Hang:
            threading.Event().wait(3600)
            return False
        if self.server.flaws.get("chatter") and self.selected and self.selected.messages:
            self.send("* OK Still here")
            self.send("* 1 FETCH (FLAGS (%s))" % self.selected.messages[0].flags)
        if answer:
            self.send("%s %s" % (tag, answer))
        return verb != "LOGOUT"

    def do_capability(self, arguments, tag):
        self.send("* CAPABILITY " + self.offered())
        return "OK done"

    def do_noop(self, arguments, tag):
        self.news()
        return "OK done"

    do_check = do_noop

    def do_logout(self, arguments, tag):
        self.send("* BYE see you")
        return "OK done"

    def do_id(self, arguments, tag):
        self.send('* ID ("name" "scripted")')
        return "OK done"

    def do_enable(self, arguments, tag):
        self.send("* ENABLED " + arguments)
        return "OK done"

    def do_namespace(self, arguments, tag):
        self.send('* NAMESPACE (("" %s)) NIL NIL' % self.separator())
        return "OK done"

    def do_starttls(self, arguments, tag):
        if not self.server.starttls:
            return "BAD no TLS here"
        self.send(tag + " OK begin")
        self.wrap(self.server.starttls)
        return None

    def sign_in(self, password):
        refusal = self.server.flaws.get("login")
        if refusal:
            return refusal
        if password != self.server.password:
            return "NO [AUTHENTICATIONFAILED] wrong user or password"
        return "OK [CAPABILITY %s] welcome" % self.offered()

    def do_login(self, arguments, tag):
        return self.sign_in(values(arguments)[1])

    def do_authenticate(self, arguments, tag):
        words = arguments.split()
        if words[0].upper() != "PLAIN":
            return "NO unknown mechanism"
        if len(words) < 2:
            self.send("+ ")
            words.append(self.file.readline().decode().strip())
        return self.sign_in(base64.b64decode(words[1]).split(b"\0")[-1].decode())

    def separator(self):
        return '"%s"' % self.server.delimiter if self.server.delimiter else "NIL"

    def do_list(self, arguments, tag):
        status = re.search(r"STATUS \(([^)]*)\)", arguments)
        names = values(re.sub(r"RETURN \(.*\)$|^\(.*?\) ", "", arguments))
        if names and names[-1] == "":
            self.send('* LIST (\\Noselect) %s ""' % self.separator())
            return "OK done"
        for name, mailbox in self.server.mailboxes.items():
            self.send("* LIST (%s) %s %s" % (mailbox.attributes, self.separator(), quoted(name)))
            if status and "\\Noselect" not in mailbox.attributes:
                self.status(name, mailbox, status[1])
        return "OK done"

    def do_lsub(self, arguments, tag):
        for name in self.server.mailboxes:
            self.send("* LSUB () %s %s" % (self.separator(), quoted(name)))
        return "OK done"

    def status(self, name, mailbox, items):
        numbers = {"MESSAGES": len(mailbox.messages), "RECENT": 0, "UIDNEXT": mailbox.next,
                   "UIDVALIDITY": mailbox.uidvalidity, "HIGHESTMODSEQ": mailbox.next,
                   "UNSEEN": sum("\\Seen" not in m.flags for m in mailbox.messages)}
        self.send("* STATUS %s (%s)" % (quoted(name), " ".join(
            "%s %d" % (i, numbers[i]) for i in items.upper().split() if i in numbers)))

    def do_status(self, arguments, tag):
        name = values(arguments)[0]
        if name not in self.server.mailboxes:
            return "NO [NONEXISTENT] no such mailbox"
        self.status(name, self.server.mailboxes[name], arguments[arguments.rindex("(") + 1:-1])
        return "OK done"

    def do_select(self, arguments, tag, access="WRITE"):
        self.selected = None
        mailbox = self.server.mailboxes.get(values(arguments)[0])
        if not mailbox or "\\Noselect" in mailbox.attributes:
            return "NO [NONEXISTENT] no such mailbox"
        self.selected = mailbox
        self.seen = len(mailbox.messages)
        self.send("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)")
        self.send("* %d EXISTS" % self.seen)
        self.send("* 0 RECENT")
        self.send("* OK [UIDVALIDITY %d] as ever" % mailbox.uidvalidity)
        self.send("* OK [UIDNEXT %d] comes next" % mailbox.next)
        if "CONDSTORE" in self.server.capabilities:
            self.send("* OK [HIGHESTMODSEQ %d] so far" % mailbox.next)
        return "OK [READ-%s] done" % access

    def do_examine(self, arguments, tag):
        return self.do_select(arguments, tag, "ONLY")

    def do_unselect(self, arguments, tag):
        self.selected = None
        return "OK done"

    do_close = do_unselect

    def news(self):
        if self.selected and self.seen != len(self.selected.messages):
            self.seen = len(self.selected.messages)
            self.send("* %d EXISTS" % self.seen)

    def do_idle(self, arguments, tag):
        self.send("+ idling")
        done = threading.Event()

        def watch():
            with self.server.changed:
                while not done.is_set():
                    try:
                        self.news()
                    except OSError:
                        return
                    self.server.changed.wait(0.2)
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            self.file.readline()
        finally:
            done.set()
            watcher.join(5)
        return "OK done"

    def wanted(self, text):
        """(sequence number, message) of those in a UID set."""
        ranges = []
        last = self.selected.messages[-1].uid if self.selected.messages else 0
        for piece in text.split(","):
            ends = [last if e == "*" else int(e) for e in piece.split(":")]
            ranges.append((min(ends), max(ends)))
        return [(n, m) for n, m in enumerate(self.selected.messages[:self.seen], 1)
                if any(a <= m.uid <= b for a, b in ranges)]

    def do_uid_search(self, arguments, tag):
        if not self.selected:
            return "BAD nothing is selected"
        found = re.search(r"\bUID ([\d:,*]+)", arguments, re.I)
        uids = [m.uid for _, m in self.wanted(found[1] if found else "1:*")]
        if re.search(r"RETURN", arguments, re.I):
            self.send('* ESEARCH (TAG "%s") UID%s' % (
                tag, " ALL " + ",".join(map(str, uids)) if uids else ""))
        else:
            self.send("* SEARCH" + "".join(" %d" % u for u in uids))
        return "OK done"

    def do_uid_fetch(self, arguments, tag):
        if not self.selected:
            return "BAD nothing is selected"
        refusal = self.server.flaws.get("fetch")
        if refusal:
            return refusal
        uids, _, rest = arguments.partition(" ")
        since = re.search(r" \(CHANGEDSINCE (\d+)[^)]*\)$", rest)
        items = fetch_items(rest[:since.start()] if since else rest)
        for number, message in self.wanted(uids):
            if since and message.uid <= int(since[1]):
                continue
            self.answer(number, message, items)
        return "OK done"

    def answer(self, number, message, items):
        flaws = self.server.flaws
        pieces = []
        if not flaws.get("uid_last"):
            pieces.append(b"UID %d" % message.uid)
        for item in items:
            piece = self.item(message, item)
            if piece is not None:
                pieces.append(piece)
        if flaws.get("uid_last"):
            pieces.append(b"UID %d" % message.uid)
        data = b"* %d FETCH (" % number + b" ".join(pieces) + b")"
        for flaw in ("hang_after", "cut_after"):
            limit = flaws.get(flaw)
            if limit is not None and any(b"BODY[" in p and len(p) > limit for p in pieces):
                start = data.index(b"BODY[")
                self.socket.sendall(data[:start + 40 + limit])
                if flaw == "hang_after":
                    raise Hang
                self.close()
                raise EOFError
        self.send(data)

    def item(self, message, item):
        flaws = self.server.flaws
        name = item.upper()
        if name == "UID":
            return None
        if name == "FLAGS":
            return b"FLAGS (%s)" % message.flags.encode()
        if name == "INTERNALDATE":
            return b'INTERNALDATE "%s"' % message.date.encode()
        if name == "MODSEQ":
            return b"MODSEQ (%d)" % message.uid
        if name == "RFC822.SIZE":
            return b"RFC822.SIZE %d" % flaws.get("size", int)(len(message.raw))
        if name == "BODYSTRUCTURE":
            true = message.part.structure()
            return b"BODYSTRUCTURE " + flaws.get("structure", lambda uid, s: s)(message.uid, true)
        body = re.match(r"BODY(?:\.PEEK)?\[(.*)\](?:<(\d+)\.(\d+)>)?$", item, re.I | re.S)
        if not body:
            return None
        return self.body(message, body[1], body[2], body[3])

    def body(self, message, section, origin, length):
        flaws = self.server.flaws
        data = message.part.section(section)
        if not section.upper().startswith("HEADER.FIELDS"):
            if message.uid in flaws.get("no_body", ()):
                return None
            if "body" in flaws:
                data = flaws["body"](message.uid, section, data)
        label = b"BODY[" + section.encode() + b"]"
        if data is None:
            return label + b" NIL"
        if origin is not None and not flaws.get("whole"):
            label += b"<%d>" % int(origin)
            data = data[int(origin):int(origin) + int(length)]
        return label + b" {%d}\r\n" % len(data) + data


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def values(text):
    """The strings and atoms of a command's arguments."""
    return [re.sub(r"\\(.)", r"\1", m[1]) if m[1] is not None else m[2] or m[3]
            for m in TOKEN.finditer(text) if not m[4]]


def fetch_items(text):
    """The items of a FETCH, macros aside."""
    text = text.strip()
    if text.startswith("("):
        text = text[1:-1]
    return re.findall(r"[A-Za-z0-9.-]+(?:\[[^\]]*\])?(?:<[\d.]+>)?", text)
