"""How much memory it takes to read what is big, and that the bytes are right all the same."""
import base64
import hashlib
import os
import random
import subprocess
import threading

import pytest

from lib.others import Other

MIB = 1 << 20
MOST = 56 * MIB


def sanitized(mount):
    """Whether it is built with what takes memory of its own."""
    with open("/proc/%d/maps" % mount.worker()) as maps:
        return "libasan" in (text := maps.read()) or "libtsan" in text


class Watched:
    """The highest RssAnon of a mount's worker while this is entered, in bytes."""

    def __init__(self, mount):
        self.path = "/proc/%d/status" % mount.worker()
        self.most = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def look(self):
        with open(self.path) as fields:
            line, = (line for line in fields if line.startswith("RssAnon:"))
        return int(line.split()[1]) * 1024

    def watch(self):
        while not self.over.wait(0.001):
            self.most = max(self.most, self.look())

    def __enter__(self):
        self.first = self.look()
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.over.set()
        self.thread.join()


def noise(number, size):
    return random.Random(number).randbytes(size)


def lines(data, width=57, end=b"\r\n"):
    encoded = (base64.b64encode(data[i:i + width]) for i in range(0, len(data), width))
    return b"".join(line + end for line in encoded)


def quoted(data):
    text = b"".join(b"=%02X" % byte for byte in data)
    return b"=\r\n".join(text[i:i + 75] for i in range(0, len(text), 75))


def irregular(data):
    half = len(data) // 6 * 3
    return lines(data[:half]) + lines(data[half:], 48)


BIG = noise(1, 37 * MIB)
SOME = noise(2, 9 * MIB)
TEXT = b"".join(b"line %07d of a long text\r\n" % i for i in range(40 * MIB // 29))
NAMED = b"application/octet-stream; name=file.bin"
# type, transfer encoding, encoded, file, content
PARTS = {
    "regular": (NAMED, b"base64", lines(BIG), "file.bin", BIG),
    "irregular": (NAMED, b"base64", irregular(BIG), "file.bin", BIG),
    "quoted": (NAMED, b"quoted-printable", quoted(SOME), "file.bin", SOME),
    "plain": (NAMED, b"7bit", TEXT, "file.bin", TEXT),
    "text": (b"text/plain", b"7bit", TEXT, "body (2).txt", TEXT.replace(b"\r\n", b"\n")),
    "message": (b"message/rfc822", b"7bit", b"Subject: inner\r\n\r\n" + TEXT, "forwarded.eml",
                b"Subject: inner\r\n\r\n" + TEXT),
}


def letter(kind):
    type_, encoding, encoded = PARTS[kind][:3]
    return (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\n"
            b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nSubject: %s\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
            b"Content-Type: text/plain\r\n\r\nthe text\r\n--b\r\n"
            b"Content-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s\r\n--b--\r\n"
            % (kind.encode(), type_, encoding, encoded))


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("kind", PARTS)
def test_parts_of_a_big_message(dovecot, user, mounts, kind):
    """All of the message is in the cache; its parts are read out of that."""
    _, _, _, name, content = PARTS[kind]
    raw = letter(kind)
    dovecot.add_user(user)
    with Other(dovecot, user) as other:
        other.deliver("INBOX", raw)
    mount = mounts(dovecot, user=user, tls="none", options=["poll=3600"], writes=True)
    message = mount.message(kind)
    assert digest(message) == hashlib.sha256(raw).hexdigest()
    part = mount.parts(kind) / name
    with Watched(mount) as memory:
        with open(part, "rb") as file:
            file.seek(len(content) // 2)
            assert file.read(1000) == content[len(content) // 2:][:1000]
        assert subprocess.run(["head", "-c", "100", part], capture_output=True).stdout == (
            content[:100])
        assert subprocess.run(["file", part], capture_output=True).returncode == 0
        assert os.stat(part).st_size == len(content)
        assert digest(part) == hashlib.sha256(content).hexdigest()
        assert (mount.parts(kind) / "body.txt").read_bytes() == b"the text"
    print("%s: RssAnon %.1f before, %.1f MiB at most, %.1f after" % (
        kind, memory.first / MIB, memory.most / MIB, memory.look() / MIB))
    if not sanitized(mount):
        assert memory.most < MOST
