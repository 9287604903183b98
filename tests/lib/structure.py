"""Sections and BODYSTRUCTURE of well-formed messages, for the scripted server."""
import email
import re


class Part:
    def __init__(self, raw):
        blank = re.search(rb"^\r\n", raw, re.M)
        end = blank.end() if blank else len(raw)
        self.header, self.body = raw[:end], raw[end:]
        self.fields = email.message_from_bytes(self.header)
        self.type = self.fields.get_content_type()
        self.children = []
        if self.type.startswith("multipart/"):
            mark = b"--" + self.fields.get_boundary("").encode()
            pieces = re.split(b"(?:^|\r\n)" + re.escape(mark) + b"(?:--)?[ \t]*(?:\r\n|$)",
                              self.body)
            self.children = [Part(p) for p in pieces[1:-1]]
        elif self.type == "message/rfc822":
            self.children = [Part(self.body)]

    def find(self, numbers):
        """The part that section numbers lead to, None if there is none."""
        part = self
        for number in numbers:
            if part.type == "message/rfc822" and part is not self:
                part = part.children[0]
            if not part.children or not part.type.startswith("multipart/"):
                if number != 1:
                    return None
                continue
            if number > len(part.children):
                return None
            part = part.children[number - 1]
        return part

    def section(self, name):
        """BODY[name] as bytes, None if there is no such section."""
        numbers = [int(n) for n in re.findall(r"\d+", name.split("(")[0])]
        word = re.sub(r"^[\d.]*", "", name).upper()
        part = self.find(numbers)
        if part is None:
            return None
        if not numbers and not word:
            return part.header + part.body
        if word == "MIME":
            return part.header
        inner = part.children[0] if numbers and part.type == "message/rfc822" else part
        if word == "HEADER":
            return inner.header
        if word == "TEXT":
            return inner.body
        if word.startswith("HEADER.FIELDS"):
            wanted = word[word.index("(") + 1:word.index(")")].split()
            negate = word.startswith("HEADER.FIELDS.NOT")
            fields = re.findall(rb"(?m)^([^:\r\n]+)(:.*\r\n(?:[ \t].*\r\n)*)", inner.header)
            return b"".join(k + v for k, v in fields
                            if (k.strip().decode("latin-1").upper() in wanted) != negate) + b"\r\n"
        return part.body

    def structure(self):
        """BODYSTRUCTURE (RFC 9051, 7.5.2) as bytes."""
        main, sub = self.type.upper().split("/", 1)
        disposition = self.disposition()
        if main == "MULTIPART":
            inner = b"".join(c.structure() for c in self.children) or Part(b"\r\n").structure()
            return b"(%s %s %s %s NIL NIL)" % (inner, quote(sub), self.parameters("content-type"),
                                               disposition)
        encoding = self.fields.get("content-transfer-encoding", "7BIT").strip().upper()
        basic = b"%s %s %s %s NIL %s %d" % (
            quote(main), quote(sub), self.parameters("content-type"),
            quote(self.fields.get("content-id")), quote(encoding), len(self.body))
        lines = self.body.count(b"\n")
        if self.type == "message/rfc822":
            basic += b" %s %s %d" % (self.children[0].envelope(), self.children[0].structure(),
                                     lines)
        elif main == "TEXT":
            basic += b" %d" % lines
        return b"(%s NIL %s NIL NIL)" % (basic, disposition)

    def parameters(self, field):
        pairs = raw_parameters(self.fields.get(field, ""))
        if not pairs:
            return b'("charset" "us-ascii")' if self.type.startswith("text/") else b"NIL"
        return b"(" + b" ".join(quote(x) for pair in pairs for x in pair) + b")"

    def disposition(self):
        value = self.fields.get("content-disposition")
        if not value:
            return b"NIL"
        return b"(%s %s)" % (quote(value.split(";")[0].strip()),
                             self.parameters("content-disposition"))

    def envelope(self):
        return b"(%s %s NIL NIL NIL NIL NIL NIL NIL NIL)" % (
            quote(self.fields.get("date")), quote(self.fields.get("subject")))


def raw_parameters(value):
    found = re.findall(r';\s*([^=;\s]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))', str(value), re.S)
    return [(name, re.sub(r"\\(.)", r"\1", quoted) if quoted else plain)
            for name, quoted, plain in found]


def quote(value):
    if value is None:
        return b"NIL"
    raw = str(value).replace("\r\n", "").encode("utf-8", "surrogateescape")
    if any(b > 126 or b < 32 for b in raw):
        return b"{%d}\r\n%s" % (len(raw), raw)
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
