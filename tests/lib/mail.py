"""The sample mail: a few dozen varied messages, the same in every run, and what each must show.

A message knows its bytes and the files of its directory. Used by the demo and the tests.
"""
import base64
import datetime
import io
import quopri
import struct
import zipfile
import zlib
from email.utils import format_datetime


def crlf(text):
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


class Entity:
    """A MIME entity: its header fields and body as bytes, and the files it shows.

    `files` is a list of (name, bytes, files below or None), names before they are made unique.
    """

    def __init__(self, fields, body, files):
        self.fields, self.body, self.files = fields, body, files

    def __bytes__(self):
        return b"".join(f + b"\r\n" for f in self.fields) + b"\r\n" + self.body


def encode(content, encoding):
    if encoding == "base64":
        return base64.encodebytes(content).replace(b"\n", b"\r\n")
    if encoding == "quoted-printable":
        lines = [quopri.encodestring(line, quotetabs=False).replace(b"=\n", b"=\r\n")
                 for line in content.split(b"\r\n")]
        return b"\r\n".join(lines)
    return content


def text(body, charset="utf-8", encoding="8bit", subtype="plain", parameters=""):
    """An unnamed text part: its file is UTF-8 with LF, HTML with a BOM."""
    raw = crlf(body).encode(charset)
    shown = crlf(body).replace("\r\n", "\n").encode()
    file = ("body.html", b"\xef\xbb\xbf" + shown, None) if subtype == "html" else (
        "body.txt", shown, None)
    return Entity([b"Content-Type: text/%s; charset=%s%s" % (
        subtype.encode(), charset.encode(), parameters.encode()),
        b"Content-Transfer-Encoding: " + encoding.encode()], encode(raw, encoding), [file])


def html(body, **options):
    return text(body, subtype="html", **options)


def attachment(name, content, type_="application/octet-stream", encoding="base64", shown=None,
               disposition=None, extra=()):
    """A named part: its file has exactly the content. `disposition`: the field, where its name
    is not simply quoted; `shown`: the file's name, where it is not the given one."""
    disposition = disposition or b'attachment; filename="%s"' % name.encode()
    return Entity([b"Content-Type: " + type_.encode(),
                   b"Content-Disposition: " + disposition,
                   b"Content-Transfer-Encoding: " + encoding.encode(), *extra],
                  encode(content, encoding), [(shown or name, content, None)])


def multipart(subtype, *parts, boundary="b"):
    while any(b"--" + boundary.encode() in bytes(p) for p in parts):
        boundary += "x"
    mark = b"--" + boundary.encode()
    body = b"This is a message in several parts.\r\n"
    for part in parts:
        body += b"\r\n" + mark + b"\r\n" + bytes(part)
    body += b"\r\n" + mark + b"--\r\n"
    return Entity([b'Content-Type: multipart/%s; boundary="%s"' % (
        subtype.encode(), boundary.encode())], body, [f for p in parts for f in p.files])


def forwarded(message, name=None):
    """A message in a message: X.eml and the directory X."""
    stem = name[:-4] if name else "forwarded"
    raw = bytes(message.entity)
    fields = [b"Content-Type: message/rfc822"]
    if name:
        fields.append(b'Content-Disposition: attachment; filename="%s"' % name.encode())
    return Entity(fields, raw, [(stem + ".eml", raw, None), (stem, None, message.entity.files)])


def unique(files, below=""):
    """{path: bytes} with names unique among siblings, as mailmount-tree(7) says."""
    taken, result = {"headers.txt"}, {}
    for name, content, children in files:
        stem, dot, extension = name.rpartition(".")
        if not stem or children is not None:
            stem, dot, extension = name, "", ""
        # a message and its directory go together
        key, number = name, 1
        while key.lower() in taken:
            number += 1
            key = "%s (%d)%s%s" % (stem, number, dot, extension)
        taken.add(key.lower())
        if children is None:
            result[below + key] = content
        else:
            result.update(unique(children, below + key + "/"))
    return result


class Message:
    def __init__(self, mailbox, entity, who="Alice Smith <alice@example.org>",
                 to="Bob Jones <bob@example.net>", subject="A message", day=1, date=True,
                 flags="", fields=(), mime=True, raw=None):
        self.mailbox, self.subject, self.flags = mailbox, subject, flags
        when = datetime.datetime(2025, 3, 1, 9, 30, tzinfo=datetime.timezone.utc)
        when += datetime.timedelta(days=day, minutes=7 * day)
        self.internaldate = when
        head = [b"From: " + as_bytes(who)] if who else []
        head += [b"To: " + as_bytes(to)] if to else []
        head += [b"Subject: " + as_bytes(subject)] if subject is not None else []
        if date is True:
            head.append(b"Date: " + format_datetime(when).encode())
        elif date:
            head.append(b"Date: " + as_bytes(date))
        head += [as_bytes(f) for f in fields]
        head += [b"MIME-Version: 1.0"] if mime else []
        self.entity = Entity(head + entity.fields, entity.body, entity.files)
        self.raw = raw or bytes(self.entity)

    @property
    def files(self):
        """{path below the message's directory: bytes}, without headers.txt."""
        return unique(self.entity.files)

    @property
    def date(self):
        """As IMAP's APPEND takes it."""
        return self.internaldate.strftime("%d-%b-%Y %H:%M:%S +0000")


def as_bytes(value):
    return value if isinstance(value, bytes) else value.encode()


def word(value, charset="utf-8", how="B"):
    """An RFC 2047 encoded word."""
    raw = value.encode(charset)
    if how == "B":
        body = base64.b64encode(raw).decode()
    else:
        body = "".join(chr(b) if chr(b).isascii() and chr(b).isalnum() else "=%02X" % b
                       for b in raw)
    return "=?%s?%s?%s?=" % (charset, how, body)


def png(width=48, height=32):
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    rows = b"".join(b"\0" + b"".join(bytes((x * 5 % 256, y * 8 % 256, 160)) for x in range(width))
                    for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0,
                                                            0, 0))
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def pdf(line="Quarterly report"):
    stream = b"BT /F1 24 Tf 72 720 Td (%s) Tj ET" % line.encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    out, places = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, table)


def archive():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in (("notes.txt", "remember the milk\n" * 40), ("data.csv", "a,b\n1,2\n")):
            z.writestr(zipfile.ZipInfo(name, (2025, 3, 1, 12, 0, 0)), content)
    return out.getvalue()


def noise(size, seed=1):
    """`size` bytes that do not compress, the same in every run."""
    import random
    return random.Random(seed).randbytes(size)


INVITE = crlf("""BEGIN:VCALENDAR
VERSION:2.0
METHOD:REQUEST
BEGIN:VEVENT
UID:lunch-1@example.org
DTSTART:20250310T110000Z
DTEND:20250310T120000Z
SUMMARY:Lunch
END:VEVENT
END:VCALENDAR
""").encode()

LETTER = """Dear Bob,

the quarterly report is attached. The needle is on page 7.

-- 
Alice
"""


def plain_messages():
    yield Message("INBOX", text(LETTER), subject="Quarterly report", day=1, flags="\\Seen")
    yield Message("INBOX", text("Lunch at noon?\n", "us-ascii", "7bit"), day=2,
                  who='"Jones, Bob" <bob@example.net>', to="alice@example.org",
                  subject="Lunch?", flags="\\Seen \\Answered")
    yield Message("INBOX", text("Zwölf Boxkämpfer jagen Viktor quer über den großen Deich.\n",
                                "iso-8859-1", "quoted-printable"), day=3,
                  who=word("Jürgen Müller", "iso-8859-1", "Q") + " <jm@example.de>",
                  subject=word("Grüße aus Köln", "iso-8859-1", "Q"))
    yield Message("INBOX", text("Съешь ещё этих мягких французских булок.\n", "koi8-r", "base64"),
                  day=4, who=word("Иван Петров", "koi8-r") + " <ivan@example.ru>",
                  subject=word("Привет", "koi8-r"))
    yield Message("INBOX", text("これは日本語の手紙です。\n", "iso-2022-jp", "7bit"), day=5,
                  who=word("山田太郎", "iso-2022-jp") + " <taro@example.jp>",
                  subject=word("日本語の件名", "iso-2022-jp"), flags="\\Flagged")
    yield Message("INBOX", text("“Smart quotes” – and a €.\n", "windows-1252", "8bit"), day=6,
                  subject=word("“Smart” subject", "windows-1252", "Q"))
    yield Message("INBOX", text("Größe, naïve, 你好, emoji 🎉.\n", "utf-8", "8bit"), day=7,
                  subject=word("Emoji 🎉 and 你好"))
    yield Message("INBOX", text("No subject at all.\n"), subject=None, day=8)
    yield Message("INBOX", text("An empty one.\n"), subject="", day=9)
    yield Message("INBOX", text("No date.\n"), subject="Undated", date=None, day=10)
    yield Message("INBOX", text("Bad date.\n"), subject="Misdated", date="yesterday", day=11)
    yield Message("INBOX", text("A long subject.\n"), day=12,
                  subject="\r\n ".join("This subject goes on and on %d" % n for n in range(30)))
    yield Message("INBOX", text("A hostile subject.\n"), day=13, who="../../etc/passwd <x@y.example>",
                  subject="../../../etc/passwd\t-rf * | <rm> \"a\\b\": ?")
    yield Message("INBOX", text("Nobody knows who.\n"), who=None, subject="Anonymous", day=14)
    yield Message("INBOX", Entity([], b"Just a few lines,\r\nfrom before MIME.\r\n",
                                  [("body.txt", b"Just a few lines,\nfrom before MIME.\n", None)]),
                  subject="Old style", day=15, mime=False)
    yield Message("INBOX", text("Soft-broken " * 30 + "line.\n", "utf-8", "quoted-printable"),
                  subject="A long line", day=16)
    yield Message("INBOX", text(""), subject="Empty body", day=17)
    yield Message("INBOX", html("<p>Only <b>HTML</b>, caf&eacute; née.</p>\n", charset="iso-8859-1",
                                encoding="quoted-printable"), subject="HTML only", day=18)


def attachment_messages():
    picture, report = png(), pdf()
    both = multipart("alternative", text("See the report. A needle in text.\n"),
                     html("<p>See the report.</p>\n", encoding="quoted-printable"))
    yield Message("INBOX", both, subject="Two forms", day=19)
    related = multipart(
        "related", html('<img src="cid:logo@example.org">\n'),
        attachment("logo.png", picture, "image/png", extra=[b"Content-ID: <logo@example.org>"],
                   disposition=b'inline; filename="logo.png"'))
    yield Message("INBOX", multipart("mixed", multipart("alternative", text("With a logo.\n"),
                                                        related),
                                     attachment("report.pdf", report, "application/pdf"),
                                     boundary="outer"), subject="With logo and report", day=20)
    yield Message("INBOX", multipart(
        "mixed", text("Three files.\n"),
        attachment("notes.zip", archive(), "application/zip"),
        attachment("table.csv", crlf("name;größe\nGrün;3\n").encode(), "text/csv; charset=utf-8",
                   "quoted-printable"),
        attachment("script.sh", b"#!/bin/sh\r\necho hello\r\n", "text/x-sh", "7bit")),
        subject="Several encodings", day=21)
    yield Message("INBOX", multipart(
        "mixed", text("The same name twice.\n"),
        attachment("report.pdf", report, "application/pdf"),
        attachment("Report.PDF", pdf("Another"), "application/pdf", shown="Report (2).PDF")),
        subject="Same names", day=22)
    yield Message("INBOX", multipart(
        "mixed", text("Names in other letters.\n"),
        attachment("Übersicht.txt", b"rfc2231\r\n", "text/plain", shown="Übersicht.txt",
                   disposition=b"attachment; filename*=utf-8''%C3%9Cbersicht.txt"),
        attachment("naïve plan.txt", b"rfc2047\r\n", "text/plain",
                   disposition=b'attachment; filename="%s"' % word("naïve plan.txt").encode()),
        attachment("a long name in two pieces.txt", b"pieces\r\n", "text/plain",
                   disposition=b'attachment; filename*0="a long name "; '
                               b'filename*1="in two pieces.txt"'),
        attachment("図面.png", picture, "image/png",
                   disposition=b"attachment; filename*=utf-8''%E5%9B%B3%E9%9D%A2.png")),
        subject="Encoded names", day=23)
    yield Message("INBOX", multipart(
        "mixed", text("Mind the names.\n"),
        attachment("x", b"one", shown="passwd",
                   disposition=b'attachment; filename="../../etc/passwd"'),
        attachment("x", b"two", shown="cmd.exe",
                   disposition=b'attachment; filename="C:\\\\windows\\\\cmd.exe"'),
        attachment("x", b"three", shown="_rf",
                   disposition=b'attachment; filename="-rf"')),
        subject="Hostile names", day=24)
    inner = Message("", both, subject="Inner", day=2)
    middle = Message("", multipart("mixed", text("See below.\n"), forwarded(inner),
                                   attachment("logo.png", picture, "image/png"),
                                   boundary="middle"), subject="Middle", day=3)
    yield Message("INBOX", multipart("mixed", text("A forward of a forward.\n"),
                                     forwarded(middle, "Middle.eml"), boundary="outer"),
                  subject="Fwd: Fwd: Inner", day=25)
    yield Message("INBOX", multipart(
        "mixed", text("Please come.\n"),
        attachment("invite.ics", INVITE, "text/calendar; method=REQUEST; charset=utf-8", "8bit")),
        subject="Invitation: Lunch", day=26)
    signed = multipart(
        "signed", text("Signed by Alice.\n", "us-ascii", "7bit"),
        attachment("signature.asc", crlf("-----BEGIN PGP SIGNATURE-----\n\niQEz\n"
                                         "-----END PGP SIGNATURE-----\n").encode(),
                   "application/pgp-signature", "7bit"))
    signed.fields[0] += b'; micalg=pgp-sha256; protocol="application/pgp-signature"'
    yield Message("INBOX", signed, subject="Signed", day=27)
    yield Message("INBOX", attachment("scan.pdf", pdf("A scan"), "application/pdf"),
                  subject="Nothing but a file", day=28)
    yield Message("INBOX", multipart("mixed", text("The big one.\n"),
                                     attachment("recording.bin", noise(2_500_000))),
                  subject="Big attachment", day=29)


def folder_messages():
    for number in range(1, 6):
        yield Message("Projekte/Grün", text("Notiz %d zum Garten.\n" % number), day=number,
                      who="Zoë Grün <zoe@example.de>", subject="Garten, Notiz %d" % number)
    yield Message("Projekte/Grün/Skizzen", multipart(
        "mixed", text("Die Skizze.\n"), attachment("skizze.png", png(96, 64), "image/png")),
        who="Zoë Grün <zoe@example.de>", subject="Skizze", day=6)
    yield Message("日本語", text("本文\n", "utf-8", "base64"), day=7,
                  who=word("山田太郎") + " <taro@example.jp>", subject=word("会議の予定"))
    yield Message("R&D", text("Ampersands are odd in folder names.\n"), subject="R&D", day=8)
    yield Message("Archive/2024", text("Old news with a needle.\n"), subject="Old news", day=9,
                  flags="\\Seen")
    yield Message("Sent", text("On its way.\n"), who="Alice Smith <alice@example.org>",
                  to="Carol White <carol@example.com>", subject="Sent mail", day=10,
                  flags="\\Seen")
    yield Message("Drafts", text("Unfinished.\n"), to=None, subject="A draft", day=11,
                  flags="\\Draft")


def sample_messages():
    return [*plain_messages(), *attachment_messages(), *folder_messages()]


def utf7(name):
    """A mailbox name in modified UTF-7 (RFC 3501, 5.1.3), as bytes."""
    out, run = b"", ""
    for character in name + "\0":
        if " " <= character <= "~" or character == "\0":
            if run:
                packed = base64.b64encode(run.encode("utf-16-be")).rstrip(b"=")
                out, run = out + b"&" + packed.replace(b"/", b",") + b"-", ""
            out += b"&-" if character == "&" else character.encode()
        else:
            run += character
    return out[:-1]


def deliver(client, messages, delimiter="/"):
    """Delivers by APPEND; makes the mailboxes first."""
    have = set(client.mailboxes())
    for message in messages:
        mailbox = utf7(message.mailbox.replace("/", delimiter))
        if mailbox not in have:
            client.command(b'CREATE "%s"' % mailbox)
            have.add(mailbox)
        refused = client.append(mailbox, message.raw, message.flags.encode(), message.date)
        if refused:
            raise RuntimeError("%s: %s" % (message.subject, refused))
