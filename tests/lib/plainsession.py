"""One connection to plainserver: the wire, signing in, and commands about mailboxes."""
import base64
import re
import socket
import threading

from .imapwords import String, quoted, text, tokens
from .mailstore import SYSTEM_FLAGS, Mailbox, Refused
from .plainmessages import Bad, Messages

LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r?\n$")
LITERAL_MAX = 200_000_000
NEEDS = {"MOVE": "MOVE", "UID MOVE": "MOVE", "UID EXPUNGE": "UIDPLUS", "UNSELECT": "UNSELECT",
         "IDLE": "IDLE", "ENABLE": "ENABLE", "ID": "ID", "NAMESPACE": "NAMESPACE",
         "GETQUOTAROOT": "QUOTA", "GETQUOTA": "QUOTA", "MYRIGHTS": "ACL"}
SELECTED = {"FETCH", "STORE", "COPY", "MOVE", "SEARCH", "EXPUNGE", "CLOSE", "UNSELECT", "CHECK"}


class Drop(Exception):
    """The connection is to end."""


class Session(Messages):
    """One connection. `view` is what its client was told of the selected mailbox."""

    def __init__(self, server, connection, number):
        self.server, self.store = server, server.store
        self.socket, self.number = connection, number
        self.file = connection.makefile("rb")
        self.box, self.read_only, self.view, self.told = None, True, [], {}
        self.condstore = False
        self.signed_in = False
        self.listed = None
        self.out = []
        self.thread = threading.Thread(target=self.run, daemon=True)

    # -- wire

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def run(self):
        try:
            self.say("* OK [CAPABILITY %s] plain server ready" % self.offered())
            self.flush()
            while self.serve():
                pass
        except (OSError, EOFError, Drop):
            pass
        finally:
            self.close()
            self.file.close()
            self.socket.close()

    def say(self, line):
        self.out.append((line.encode("utf-8", "surrogateescape") if isinstance(line, str)
                         else line) + b"\r\n")

    def flush(self):
        data, self.out = b"".join(self.out), []
        self.socket.sendall(data)

    def offered(self):
        promised = () if self.signed_in else self.server.promised
        return " ".join(["IMAP4rev1", "AUTH=PLAIN", *self.server.capabilities, *promised])

    def violation(self, what):
        self.server.violations.append("%d: %s" % (self.number, what))
        raise Bad(what)

    def read(self):
        """(tag, line, tokens) of a command; tokens is None if it was refused at its literal."""
        pieces, line, first = [], b"", b""
        while True:
            piece = self.file.readline(1 << 17)
            if not piece.endswith(b"\n"):
                raise EOFError
            line += piece.rstrip(b"\r\n")
            first = first or line
            literal = LITERAL.search(piece)
            if not literal:
                pieces.append(piece.rstrip(b"\r\n"))
                tag, _, rest = line.decode("utf-8", "surrogateescape").partition(" ")
                return tag, rest, tokens(pieces)[1:]
            pieces.append(piece[:literal.start()])
            size = int(literal[1])
            if not self.literal_taken(pieces, first, size, literal[2]):
                return first.split(b" ")[0].decode("latin-1"), "", None
            data = self.file.read(size)
            if len(data) < size:
                raise EOFError
            pieces.append(String(data))

    def literal_taken(self, pieces, line, size, plus):
        """Whether the literal is to be read; else the command is answered."""
        tag, _, rest = line.decode("utf-8", "surrogateescape").partition(" ")
        if plus:
            if not self.server.has("LITERAL+") and not (
                    self.server.has("LITERAL-") and size <= 4096):
                self.server.violations.append("%d: a literal that does not wait" % self.number)
                raise Drop
            return True
        answer = self.early_refusal(tokens(pieces)[1:], size) if self.server.early else None
        if size > LITERAL_MAX:
            answer = "BAD literal too long"
        self.say("%s %s" % (tag, answer) if answer else "+ go on")
        if answer:
            self.server.log.append((self.number, rest))
        self.flush()
        return not answer

    def early_refusal(self, words, size):
        if not words or text(words[0]).upper() != "APPEND" or len(words) < 2:
            return None
        try:
            self.may_append(text(words[1]), size)
        except Refused as refused:
            return "NO %s" % refused
        return None

    # -- commands

    def serve(self):
        tag, line, words = self.read()
        if words is None:
            return True
        verb = text(words[0]).upper() if words else ""
        if verb == "UID" and len(words) > 1:
            verb, words = "UID " + text(words[1]).upper(), words[1:]
        shown = re.sub(r"^(LOGIN|AUTHENTICATE \S+) .*", r"\1 ...", line, flags=re.I)
        self.server.log.append((self.number, shown))
        fault = self.server.met(shown)
        if fault and fault.delay:
            self.server.stopping.wait(fault.delay)
        while fault and fault.hold and not fault.hold.wait(0.01):
            if self.server.stopping.is_set():
                raise Drop
        if fault and fault.drop == "before":
            raise Drop
        answer = fault.answer if fault and fault.answer else self.execute(tag, verb, words[1:])
        if fault and fault.drop == "executed":
            raise Drop
        if fault and fault.silent:
            self.out = []
            return True
        self.say("%s %s" % (tag, answer))
        self.flush()
        if fault and fault.drop == "answered":
            raise Drop
        return verb != "LOGOUT" and not answer.startswith("BYE")

    def execute(self, tag, verb, words):
        """The tagged answer."""
        uid = verb.startswith("UID ")
        bare = verb[4:] if uid else verb
        handler = getattr(self, "do_" + bare.lower().replace("-", "_"), None)
        try:
            if not handler or (uid and bare not in SELECTED):
                raise Bad("unknown command")
            if NEEDS.get(verb, "") and not self.server.has(NEEDS[verb]):
                self.violation("%s is not offered" % verb)
            if not self.signed_in and bare not in ("CAPABILITY", "NOOP", "LOGIN", "AUTHENTICATE",
                                                   "LOGOUT", "ID"):
                raise Bad("sign in first")
            if bare in SELECTED and not self.box:
                raise Bad("no mailbox is selected")
            if bare in ("AUTHENTICATE", "IDLE"):  # they wait for the client
                return handler(words, uid, tag)
            with self.store.changed:
                answer = handler(words, uid, tag)
                self.news(expunges=uid or bare not in ("FETCH", "STORE", "SEARCH"))
                return answer
        except Refused as refused:
            return "NO %s" % refused
        except Bad as bad:
            return "BAD %s" % bad
        except (IndexError, ValueError, TypeError, AttributeError) as error:
            return "BAD cannot understand that: %r" % error

    def do_capability(self, words, uid, tag):
        self.say("* CAPABILITY " + self.offered())
        return "OK done"

    def do_noop(self, words, uid, tag):
        return "OK done"

    do_check = do_noop

    def do_logout(self, words, uid, tag):
        self.say("* BYE see you")
        self.box = None
        return "OK done"

    def do_id(self, words, uid, tag):
        self.say('* ID ("name" "plain")')
        return "OK done"

    def do_enable(self, words, uid, tag):
        known = [text(w) for w in words if text(w).upper() == "CONDSTORE"
                 and self.server.has("CONDSTORE")]
        self.condstore = self.condstore or bool(known)
        self.say(" ".join(["* ENABLED", *known]))
        return "OK done"

    def do_namespace(self, words, uid, tag):
        self.say('* NAMESPACE (("" %s)) NIL NIL' % self.separator())
        return "OK done"

    def sign_in(self, password):
        if password != self.server.password:
            return "NO [AUTHENTICATIONFAILED] wrong user or password"
        self.signed_in = True
        return "OK [CAPABILITY %s] welcome" % self.offered()

    def do_login(self, words, uid, tag):
        return self.sign_in(text(words[1]))

    def do_authenticate(self, words, uid, tag):
        if text(words[0]).upper() != "PLAIN":
            return "NO unknown mechanism"
        if len(words) > 1 and not self.server.has("SASL-IR"):
            self.violation("an initial response is not offered")
        if len(words) < 2:
            self.say("+ ")
            self.flush()
            words = [*words, self.file.readline(1 << 16).decode().strip()]
        return self.sign_in(base64.b64decode(text(words[1])).split(b"\0")[-1].decode())

    # -- mailboxes

    def separator(self):
        return '"%s"' % self.store.delimiter if self.store.delimiter else "NIL"

    def do_list(self, words, uid, tag):
        chosen = [text(w).upper() for w in words.pop(0)] if isinstance(words[0], list) else []
        options = words[3] if len(words) > 3 else []
        if (chosen or options) and not self.server.has("LIST-EXTENDED"):
            self.violation("LIST-EXTENDED is not offered")
        wanted = [text(o).upper() if not isinstance(o, list) else o for o in options]
        patterns = words[1] if isinstance(words[1], list) else [words[1]]
        if text(patterns[0]) == "":
            self.say('* LIST (\\Noselect) %s ""' % self.separator())
            return "OK done"
        boxes = list(self.store.mailboxes.items())
        if self.server.remembers_list:
            boxes = self.listed = self.listed or boxes
        for name, box in boxes:
            if not any(self.matches(text(words[0]) + text(p), name) for p in patterns):
                continue
            flags = sorted(a for a in box.attributes
                           if a == "\\Noselect" or self.server.has("SPECIAL-USE"))
            if box.subscribed and ("SUBSCRIBED" in wanted or "SUBSCRIBED" in chosen):
                flags.append("\\Subscribed")
            if ("SUBSCRIBED" in chosen and not box.subscribed) or (
                    "SPECIAL-USE" in chosen and not box.attributes - {"\\Noselect"}):
                continue
            self.say("* LIST (%s) %s %s" % (" ".join(flags), self.separator(), quoted(name)))
            if "STATUS" in wanted and box.selectable and self.server.has("LIST-STATUS"):
                self.status(name, box, wanted[wanted.index("STATUS") + 1])
        return "OK done"

    def do_lsub(self, words, uid, tag):
        for name, box in self.store.mailboxes.items():
            if box.subscribed and self.matches(text(words[0]) + text(words[1]), name):
                self.say("* LSUB () %s %s" % (self.separator(), quoted(name)))
        return "OK done"

    def matches(self, pattern, name):
        level = "[^%s]*" % re.escape(self.store.delimiter) if self.store.delimiter else ".*"
        expression = re.escape(pattern).replace(r"\*", ".*").replace("%", level)
        return re.fullmatch(expression, name, re.I if name == "INBOX" else 0) is not None

    def status(self, name, box, items):
        numbers = {"MESSAGES": len(box.messages), "RECENT": 0, "UIDNEXT": box.uidnext,
                   "UIDVALIDITY": box.uidvalidity,
                   "UNSEEN": sum("\\Seen" not in m.flags for m in box.messages)}
        if self.server.has("CONDSTORE"):
            numbers["HIGHESTMODSEQ"] = box.modseq
        if self.server.has("OBJECTID"):
            numbers["MAILBOXID"] = "(%s)" % box.mailboxid
        words = [text(i).upper() for i in items]
        if set(words) - set(numbers):
            raise Bad("unknown STATUS item in %s" % words)
        self.say("* STATUS %s (%s)" % (quoted(name), " ".join(
            "%s %s" % (w, numbers[w]) for w in words)))

    def do_status(self, words, uid, tag):
        name = text(words[0])
        box = self.open_box(name)
        self.status(self.store.key(name), box, words[1])
        return "OK done"

    def open_box(self, name, code="[NONEXISTENT]") -> Mailbox:
        box = self.store.mailboxes.get(self.store.key(name))
        if not box or not box.selectable:
            raise Refused("%s no mailbox %s" % (code, name))
        return box

    def do_select(self, words, uid, tag, examine=False):
        self.box = None
        box = self.open_box(text(words[0]))
        box.need("r")
        if len(words) > 1 and "CONDSTORE" in [text(w).upper() for w in words[1]]:
            if not self.server.has("CONDSTORE"):
                self.violation("CONDSTORE is not offered")
            self.condstore = True
        self.box, self.read_only = box, examine or box.read_only
        self.uidvalidity = box.uidvalidity
        self.view = list(box.messages)
        self.told = {m.uid: m.modseq for m in self.view}
        flags = " ".join([*SYSTEM_FLAGS, *box.known_keywords()])
        permanent = "" if self.read_only else flags + (" \\*" if box.keywords else "")
        self.say("* FLAGS (%s)" % flags)
        self.say("* OK [PERMANENTFLAGS (%s)] these stay" % permanent)
        self.say("* %d EXISTS" % len(self.view))
        self.say("* 0 RECENT")
        self.say("* OK [UIDVALIDITY %d] as ever" % box.uidvalidity)
        if self.server.has("OBJECTID"):
            self.say("* OK [MAILBOXID (%s)] as ever" % box.mailboxid)
        self.say("* OK [UIDNEXT %d] comes next" % box.uidnext)
        if self.server.has("CONDSTORE"):
            self.say("* OK [HIGHESTMODSEQ %d] so far" % box.modseq)
        return "OK [READ-%s] done" % ("ONLY" if self.read_only else "WRITE")

    def do_examine(self, words, uid, tag):
        return self.do_select(words, uid, tag, examine=True)

    def do_unselect(self, words, uid, tag):
        self.box = None
        return "OK done"

    def do_close(self, words, uid, tag):
        if not self.read_only:
            self.remove([m.uid for m in self.box.messages if "\\Deleted" in m.flags])
        self.box = None
        return "OK done"

    def do_create(self, words, uid, tag):
        self.listed = None
        uses = []
        if len(words) > 1:
            if not self.server.has("CREATE-SPECIAL-USE"):
                self.violation("CREATE-SPECIAL-USE is not offered")
            uses = [text(w) for w in words[1][1]]
        name = text(words[0])
        parent = name.rpartition(self.store.delimiter)[0] if self.store.delimiter else ""
        if parent in self.store.mailboxes:
            self.store.box(parent).need("k")
        self.store.create(name, uses)
        return "OK done"

    def do_delete(self, words, uid, tag):
        self.listed = None
        box = self.store.mailboxes.get(self.store.key(text(words[0])))
        self.store.delete(text(words[0]))
        if box is self.box:
            self.box = None
        return "OK done"

    def do_rename(self, words, uid, tag):
        self.listed = None
        self.store.rename(text(words[0]), text(words[1]))
        return "OK done"

    def do_subscribe(self, words, uid, tag, how=True):
        self.store.box(text(words[0])).subscribed = how
        return "OK done"

    def do_unsubscribe(self, words, uid, tag):
        return self.do_subscribe(words, uid, tag, False)

    def do_getquotaroot(self, words, uid, tag):
        self.open_box(text(words[0]))
        self.say('* QUOTAROOT %s "user"' % quoted(text(words[0])))
        return self.do_getquota(words, uid, tag)

    def do_getquota(self, words, uid, tag):
        limit = "" if self.store.quota is None else "STORAGE %d %d" % (
            self.store.used(), self.store.quota)
        self.say('* QUOTA "user" (%s)' % limit)
        return "OK done"

    def do_myrights(self, words, uid, tag):
        name = text(words[0])
        self.say("* MYRIGHTS %s %s" % (quoted(name), self.store.box(name).rights or '""'))
        return "OK done"

    # -- what others did

    def news(self, expunges=True):
        """Tells what became of the selected mailbox since this client was told."""
        box = self.box
        if not box:
            return
        if box.gone or box.uidvalidity != self.uidvalidity:
            self.say("* BYE the selected mailbox is no more")
            self.flush()
            raise Drop
        present = {m.uid for m in box.messages}
        if expunges:
            for number in range(len(self.view), 0, -1):
                if self.view[number - 1].uid not in present:
                    self.say("* %d EXPUNGE" % number)
                    self.told.pop(self.view.pop(number - 1).uid, None)
        known = set(self.told)
        new = [m for m in box.messages if m.uid not in known]
        for number, message in enumerate(self.view, 1):
            if message.uid in present and self.told[message.uid] != message.modseq:
                self.told[message.uid] = message.modseq
                self.say(self.flags(number, message))
        if new:
            self.view += new
            self.told.update((m.uid, m.modseq) for m in new)
            self.say("* %d EXISTS" % len(self.view))

    def do_idle(self, words, uid, tag):
        self.say("+ idling")
        self.flush()
        done = threading.Event()
        watcher = threading.Thread(target=self.watch, args=[done], daemon=True)
        watcher.start()
        try:
            self.file.readline(1 << 10)
        finally:
            done.set()
            with self.store.changed:
                self.store.told()
            watcher.join(10)
        return "OK done"

    def watch(self, done):
        with self.store.changed:
            while not done.is_set():
                try:
                    self.news()
                    self.flush()
                except (OSError, Drop):
                    return self.close()
                self.store.changed.wait(1)
