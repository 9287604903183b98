"""What plainserver's commands do with the messages of the selected mailbox."""
import re

from .imapwords import compact, fetch_items, read_set, text
from .mailstore import SYSTEM_FLAGS, Refused


class Bad(Exception):
    """What is answered BAD."""


class Messages:
    """The part of a session that deals with messages."""

    def may_append(self, name, size):
        box = self.open_box(name, "[TRYCREATE]")
        box.need("i")
        for limit in (c for c in self.server.capabilities if c.startswith("APPENDLIMIT=")):
            if size > int(limit[12:]):
                raise Refused("[TOOBIG] more than %s" % limit[12:])
        self.store.need_room(size)
        return box

    def do_append(self, words, uid, tag):
        name, *options, message = words
        if not isinstance(message, bytes):
            raise Bad("no message")
        with_flags = options and isinstance(options[0], list)
        flags = [text(f) for f in options.pop(0)] if with_flags else []
        box = self.may_append(text(name), len(message))
        if not message:
            raise Refused("an empty message")
        new = self.store.deliver(text(name), bytes(message), flags,
                                 text(options[0]) if options else None)
        if not self.server.has("UIDPLUS") or "APPENDUID" in self.server.omit:
            return "OK done"
        return "OK [APPENDUID %d %d] done" % (box.uidvalidity, new)

    def chosen(self, word, uid):
        """[(sequence number, message)] of a set, of what the client knows and is still there."""
        if uid:
            last = max([m.uid for m in self.view], default=0)
            inside = read_set(text(word), last)
            return [(n, m) for n, m in enumerate(self.view, 1) if inside(m.uid)]
        inside = read_set(text(word), len(self.view))
        return [(n, m) for n, m in enumerate(self.view, 1) if inside(n)]

    def alive(self, word, uid):
        present = {m.uid for m in self.box.messages}
        return [(n, m) for n, m in self.chosen(word, uid) if m.uid in present]

    def flags(self, number, message):
        return "* %d FETCH (UID %d FLAGS (%s)%s)" % (
            number, message.uid, " ".join(sorted(message.flags)),
            " MODSEQ (%d)" % message.modseq if self.condstore else "")

    def remove(self, uids):
        self.box.need("e")
        self.box.remove(uids)
        self.store.told()

    def do_expunge(self, words, uid, tag):
        self.writable()
        marked = {m.uid for m in self.box.messages if "\\Deleted" in m.flags}
        if uid:
            marked &= {m.uid for _, m in self.alive(words[0], True)}
        self.remove(marked)
        return "OK done"

    def writable(self):
        if self.read_only:
            raise Refused("[READ-ONLY] this mailbox is read-only")

    def do_copy(self, words, uid, tag, move=False):
        target = self.open_box(text(words[1]), "[TRYCREATE]")
        target.need("i")
        if move:
            self.writable()
            self.box.need("t")
            self.box.need("e")
        uids = [m.uid for _, m in self.alive(words[0], uid)]
        name = next(n for n, b in self.store.mailboxes.items() if b is self.box)
        there, made = self.store.copy(name, uids, text(words[1]), move)
        code = "[COPYUID %d %s %s] " % (target.uidvalidity, compact(there), compact(made))
        if not there or not self.server.has("UIDPLUS") or "COPYUID" in self.server.omit:
            code = ""
        if move and code and not self.server.tagged:
            self.say("* OK %smoved" % code)
            code = ""
        return "OK %sdone" % code

    def do_move(self, words, uid, tag):
        return self.do_copy(words, uid, tag, move=True)

    def do_store(self, words, uid, tag):
        self.writable()
        set_, *rest = words
        unchanged = None
        if isinstance(rest[0], list):
            if not self.server.has("CONDSTORE"):
                self.violation("UNCHANGEDSINCE is not offered")
            self.condstore = True
            unchanged = int(text(rest.pop(0)[1]))
        item, _, silent = text(rest.pop(0)).upper().partition(".")
        how = {"FLAGS": "", "+FLAGS": "+", "-FLAGS": "-"}[item]
        flags = rest[0] if isinstance(rest[0], list) else rest
        flags = [text(f) for f in flags]
        for flag in flags:
            self.box.need({"\\DELETED": "t", "\\SEEN": "s"}.get(flag.upper(), "w"))
        modified = []
        for number, message in self.alive(set_, uid):
            if unchanged is not None and message.modseq > unchanged:
                modified.append(message.uid if uid else number)
                continue
            self.box.change(message, how, flags)
            self.stored(number, message, silent, unchanged)
        self.store.told()
        return "OK %sdone" % ("[MODIFIED %s] " % compact(modified) if modified else "")

    def stored(self, number, message, silent, unchanged):
        self.told[message.uid] = message.modseq
        if not silent:
            self.say(self.flags(number, message))
        elif self.condstore:
            self.say("* %d FETCH (UID %d MODSEQ (%d))" % (number, message.uid, message.modseq))

    def do_fetch(self, words, uid, tag):
        items, since = fetch_items(words[1]), 0
        if len(words) > 2:
            if not self.server.has("CONDSTORE"):
                self.violation("CHANGEDSINCE is not offered")
            self.condstore, since = True, int(text(words[2][1]))
        if uid and "UID" not in [i.upper() for i in items]:
            items.insert(0, "UID")
        if since and "MODSEQ" not in [i.upper() for i in items]:
            items.append("MODSEQ")
        for number, message in self.alive(words[0], uid):
            if message.modseq > since:
                pieces = [self.item(message, i) for i in items]
                self.say(b"* %d FETCH (%s)" % (number, b" ".join(pieces)))
        return "OK done"

    def item(self, message, item):
        name = item.upper()
        plain = {"UID": lambda m: "%d" % m.uid,
                 "FLAGS": lambda m: "(%s)" % " ".join(sorted(m.flags)),
                 "INTERNALDATE": lambda m: '"%s"' % m.date.strftime("%d-%b-%Y %H:%M:%S %z"),
                 "RFC822.SIZE": lambda m: "%d" % len(m.raw)}
        if self.server.has("CONDSTORE"):
            plain["MODSEQ"] = lambda m: "(%d)" % m.modseq
        if self.server.has("OBJECTID"):
            plain["EMAILID"] = lambda m: "(%s)" % m.emailid
        if name in plain:
            return ("%s %s" % (name, plain[name](message))).encode()
        if name in ("BODYSTRUCTURE", "BODY"):
            return name.encode() + b" " + message.part.structure()
        if name == "ENVELOPE":
            return b"ENVELOPE " + message.part.envelope()
        whole = {"RFC822": "BODY[]", "RFC822.HEADER": "BODY.PEEK[HEADER]",
                 "RFC822.TEXT": "BODY[TEXT]"}.get(name, item)
        found = re.match(r"BODY(\.PEEK)?\[(.*)\](?:<(\d+)\.(\d+)>)?$", whole, re.I | re.S)
        if not found:
            raise Bad("unknown item %s" % item)
        return self.body(message, item if whole != item else None, *found.groups())

    def body(self, message, called, peek, section, origin, length):
        if not peek and not self.read_only:
            self.box.change(message, "+", ["\\Seen"])
        label = called or "BODY[%s]" % section
        data = message.part.section(section) if section else message.raw
        if data is None:
            return label.encode() + b" NIL"
        if origin is not None:
            label += "<%d>" % int(origin)
            data = data[int(origin):int(origin) + int(length)]
        return label.encode() + b" {%d}\r\n" % len(data) + data

    def do_search(self, words, uid, tag):
        extended = words and text(words[0]).upper() == "RETURN"
        if extended:
            if not self.server.has("ESEARCH"):
                self.violation("ESEARCH is not offered")
            words = words[2:]
        if words and text(words[0]).upper() == "CHARSET":
            words = words[2:]
        present = {m.uid for m in self.box.messages}
        found = [(n, m) for n, m in enumerate(self.view, 1) if m.uid in present]
        keys = list(words)
        while keys:
            test = self.key(keys)
            found = [f for f in found if test(f)]
        numbers = [m.uid if uid else n for n, m in found]
        if extended:
            self.say('* ESEARCH (TAG "%s")%s%s' % (tag, " UID" if uid else "",
                                                   " ALL " + compact(numbers) if numbers else ""))
        else:
            self.say("* SEARCH" + "".join(" %d" % n for n in numbers))
        return "OK done"

    def key(self, keys):
        """Takes one search key off the list; a test of (sequence number, message)."""
        word = text(keys.pop(0))
        name = word.upper()
        flag = {f[1:].upper(): f for f in SYSTEM_FLAGS}
        if name == "ALL":
            return lambda f: True
        if name == "NOT":
            inner = self.key(keys)
            return lambda f: not inner(f)
        if name in flag:
            return lambda f: flag[name] in f[1].flags
        if name.startswith("UN") and name[2:] in flag:
            return lambda f: flag[name[2:]] not in f[1].flags
        if name in ("KEYWORD", "UNKEYWORD"):
            keyword = text(keys.pop(0))
            return lambda f: (keyword in f[1].flags) == (name == "KEYWORD")
        if name == "UID":
            inside = read_set(text(keys.pop(0)), max([m.uid for m in self.view], default=0))
            return lambda f: inside(f[1].uid)
        if name == "HEADER":
            field, value = text(keys.pop(0)).lower(), text(keys.pop(0)).lower()
            return lambda f: value in str(f[1].part.fields.get(field, "")).lower() and (
                field in f[1].part.fields)
        if re.fullmatch(r"[\d:,*]+", word):
            inside = read_set(word, len(self.view))
            return lambda f: inside(f[0])
        raise Bad("unknown search key %s" % word)
