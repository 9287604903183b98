"""Every reader gets the same, complete bytes: whichever way it reads, cold and warm, whatever the
server says of sizes."""
import errno
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import threading
import zipfile

import pytest

from lib import mail, scripted

SIZES = {"right": int, "too big": lambda n: n + n // 10 + 70, "too small": lambda n: n * 9 // 10,
         "zero": lambda n: 0}


def output(*command, **options):
    return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, check=True,
                          stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"},
                          **options).stdout


def by_copy(tool):
    """Reads with a tool that makes a copy."""
    def read(path, scratch):
        output(*tool, path, scratch / "copy")
        return (scratch / "copy").read_bytes()
    return read


def read_lines(command):
    """A tool that gives back all lines; it may end the last one."""
    def read(path, scratch):
        got = output(*command, path)
        size = len(path.read_bytes())
        return got[:-1] if len(got) == size + 1 and got.endswith(b"\n") else got
    return read


def read_sorted(path, scratch):
    """Gives the bytes back if sort saw them all."""
    got = output("sort", path)
    whole = path.read_bytes()
    lines = whole.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return whole if got == b"".join(line + b"\n" for line in sorted(lines)) else got


def read_tar(path, scratch):
    output("tar", "-cf", scratch / "t.tar", "-C", path.parent, "./" + path.name)
    with tarfile.open(scratch / "t.tar") as tar:
        return tar.extractfile(tar.getmembers()[0]).read()


def read_zip(path, scratch):
    (scratch / "t.zip").unlink(missing_ok=True)
    output("zip", "-q", "-j", scratch / "t.zip", path)
    with zipfile.ZipFile(scratch / "t.zip") as z:
        return z.read(z.namelist()[0])


def read_md5sum(path, scratch):
    """The bytes, if md5sum agrees with them."""
    got = output("md5sum", path).split()[0].lstrip(b"\\").decode()
    whole = path.read_bytes()
    return whole if hashlib.md5(whole).hexdigest() == got else got


MAPPED = """
import mmap, sys
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
    sys.stdout.buffer.write(mapped)
"""


def read_mapped(path, scratch):
    """In another process: who waits for a page holds Python's lock, which the scripted server needs
    to send it, until the deadline makes a SIGBUS of it."""
    return output(sys.executable, "-c", MAPPED, path)


def read_backwards(path, scratch):
    """In pieces from the end, as st_size says where that is."""
    pieces = []
    with open(path, "rb") as file:
        position = file.seek(0, os.SEEK_END)
        while position > 0:
            start = max(0, position - 50_001)
            file.seek(start)
            pieces.insert(0, file.read(position - start))
            position = start
    return b"".join(pieces)


def read_by_size(path, scratch):
    """Exactly st_size bytes, in one read."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, os.stat(path).st_size, 0)
    finally:
        os.close(fd)


def read_in_two(path, scratch):
    """dd skip=, then what comes before it."""
    tail = output("dd", "if=%s" % path, "bs=1000", "skip=3", "status=none")
    return output("head", "-c", "3000", path) + tail


def read_tail(path, scratch):
    tail = output("tail", "-c", "1234", path)
    whole = path.read_bytes()
    return whole if whole[-1234:] == tail else tail


READERS = {
    "cat": lambda path, scratch: output("cat", path),
    "cp": by_copy(["cp"]),
    "install": by_copy(["install", "-m", "600"]),
    "rsync": by_copy(["rsync", "-a"]),
    "grep": read_lines(["grep", "-a", ""]),
    "rg": read_lines(["rg", "--no-config", "-a", "--no-filename", "-N", "--encoding", "none", "^"]),
    "rg --mmap": read_lines(["rg", "--no-config", "--mmap", "-a", "--no-filename", "-N", "--encoding",
                             "none", "^"]),
    "less": lambda path, scratch: output("less", "-f", path),
    "tar": read_tar,
    "zip": read_zip,
    "dd": read_in_two,
    "tail": read_tail,
    "md5sum": read_md5sum,
    "sort": read_sorted,
    "mmap": read_mapped,
    "backwards": read_backwards,
    "st_size": read_by_size,
}


def letter(name):
    """A message of its own for a reader: reading it by one leaves it cold for the others."""
    table = b"".join(b"%d;\xc3\xa4=%d\r\n" % (n, n * n) for n in range(3000))
    return mail.Message("INBOX", mail.multipart(
        "mixed", mail.text("Größe für %s.\n" % name * 50, "iso-8859-1", "quoted-printable"),
        mail.attachment("small.bin", mail.noise(70_001, 1)),
        mail.attachment("table.csv", table, "text/csv; charset=utf-8", "quoted-printable"),
        mail.attachment("plain.txt", table, "text/plain; charset=utf-8", "8bit"),
        mail.attachment("large.bin", mail.noise(1_600_000, 2))), subject="for " + name)


@pytest.fixture(scope="module")
def letters():
    return {name: letter(name) for name in READERS}


def check(mount, letters, scratch, when):
    for name, reader in READERS.items():
        message = letters[name]
        parts = mount.parts("for %s [" % name.replace("/", "_"))
        for file, content in message.files.items():
            assert reader(parts / file, scratch) == content, "%s of %s, %s" % (name, file, when)
        eml = parts.parent / (parts.name + ".eml")
        assert reader(eml, scratch) == message.raw, "%s of .eml, %s" % (name, when)


@pytest.mark.parametrize("size", SIZES)
def test_on_the_scripted_server(mounts, letters, folder, size):
    with scripted.Scripted({"INBOX": letters.values()}, {"size": SIZES[size]}) as server:
        mount = mounts(server)
        check(mount, letters, folder, "cold")
        check(mount, letters, folder, "warm")
        mount.unmount()
        with mount:
            check(mount, letters, folder, "after a remount")


def test_on_real_servers(server, letters, mounts, user, folder):
    server.add_user(user)
    with server.client(user) as client:
        mail.deliver(client, letters.values())
    mount = mounts(server, user=user)
    check(mount, letters, folder, "cold")
    check(mount, letters, folder, "warm")


def test_sizes_before_anything_is_read(mounts, letters):
    """stat says what a reader will get."""
    with scripted.Scripted({"INBOX": letters.values()}, {"size": SIZES["zero"]}) as server:
        mount = mounts(server)
        message = letters["cat"]
        parts = mount.parts("for cat [")
        for file, content in message.files.items():
            assert os.stat(parts / file).st_size == len(content), file
        assert os.stat(parts.parent / (parts.name + ".eml")).st_size == len(message.raw)
        mount.unmount()


def test_readers_at_once(dovecot_sample, messages, mounts):
    """8 readers over all of the mail."""
    mount = mounts(dovecot_sample)
    wanted = {}
    counts = {}
    for message in messages:
        counts[message.mailbox] = counts.get(message.mailbox, 0) + 1
        wanted[message.mailbox, counts[message.mailbox]] = message
    problems = []

    def read(turn):
        try:
            keys = sorted(wanted)
            for mailbox, uid in keys[turn:] + keys[:turn]:
                for entry in os.listdir(mount.path / mailbox):
                    path = mount.path / mailbox / entry
                    if entry.endswith("[%d].eml" % uid):
                        assert path.read_bytes() == wanted[mailbox, uid].raw, entry
                    elif entry.endswith("[%d]" % uid):
                        for file, content in wanted[mailbox, uid].files.items():
                            assert (path / file).read_bytes() == content, (entry, file)
        except Exception as problem:
            problems.append(repr(problem))
    threads = [threading.Thread(target=read, args=(5 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


# ---- sizes that were right so far

# what a server may make of a message's length, once small ones have proved its word
LATER = {"right": int, "nothing": lambda n: 0, "half": lambda n: n // 2, "one more": lambda n: n + 1,
         "LF only": lambda n: n - n // 75, "much more": lambda n: 2 * n + 70_000}


def later_letters():
    """[(subject, message)]: three small ones, and then for each flaw one below and one above what
    is fetched whole."""
    found = [("small %d" % n, mail.Message("INBOX", mail.text("Small, %d.\n" % n),
                                           subject="small %d" % n)) for n in range(3)]
    for number, flaw in enumerate(LATER):
        for size in (150_000, 1_100_000):
            subject = "%s of %d" % (flaw, size)
            found.append((subject, mail.Message("INBOX", mail.attachment(
                "a.bin", mail.noise(size + 100 * number, number)), subject=subject)))
    return dict(found)


def told_size(letters):
    """What RFC822.SIZE is, for the scripted server: by the length, which is different in each."""
    lengths = {len(message.raw): subject for subject, message in letters.items()}
    assert len(lengths) >= 2 * len(LATER)
    return lambda n: LATER.get(lengths[n].partition(" of ")[0], int)(n)


def trust(mount):
    """What status says of the server's sizes."""
    status = (mount.path / ".mailmount/status").read_text()
    return re.search(r"^sizes told by the server: *(\w+)", status, re.M)[1]


@pytest.fixture(scope="module")
def later():
    return later_letters()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("order", [1, -1], ids=["", "from the end"])
def test_sizes_that_prove_wrong_later(mounts, later, folder, name, order):
    """The server is believed, as it was right; then it is not, and no reader sees wrong bytes."""
    with scripted.Scripted({"INBOX": later.values()}, {"size": told_size(later)}) as server:
        mount = mounts(server)
        for subject, message in list(later.items())[:3]:
            assert mount.message(subject + " [").read_bytes() == message.raw
        assert trust(mount) == "right"
        for subject, message in list(later.items())[3:][::order]:
            path = mount.message(subject + " [")
            assert READERS[name](path, folder) == message.raw, subject
            assert os.stat(path).st_size == len(message.raw), subject
        assert trust(mount) == "wrong"
        mount.unmount()


# ---- too big to be decoded whole

def test_the_most_that_is_decoded_whole(dovecot, mounts, user, folder):
    """Half of the cache: EFBIG beyond, where the message can still be read."""
    line = b"Quoted, with a = sign and some more words to fill the line.\r\n"
    files = {"most.txt": line * (7_000_000 // len(line)), "more.txt": line * (9_000_000 // len(line))}
    message = mail.Message("INBOX", mail.multipart("mixed", *(
        mail.attachment(name, content, "text/plain", "quoted-printable")
        for name, content in files.items())), subject="Quoted")
    with dovecot.client(user) as client:
        mail.deliver(client, [message])
    mount = mounts(dovecot, user=user, options=["cache_size=16M"])
    assert (mount.parts("Quoted") / "most.txt").read_bytes() == files["most.txt"]
    with pytest.raises(OSError) as problem:
        (mount.parts("Quoted") / "more.txt").read_bytes()
    assert problem.value.errno == errno.EFBIG
    assert mount.message("Quoted").read_bytes() == message.raw
    assert sorted(os.listdir(mount.parts("Quoted"))) == ["headers.txt", *sorted(files)]


@pytest.mark.parametrize("size", [255 << 20, 257 << 20])
def test_a_part_that_claims_to_be_huge(mounts, size):
    """256 MiB are too much, whatever the cache: refused before a byte of it is fetched."""
    content = b"Quoted, in a message that is not fetched for its parts.\r\n" * 30_000
    message = mail.Message("INBOX", mail.attachment("a.txt", content, "text/plain",
                                                    "quoted-printable"), subject="Claim")
    octets = len(mail.encode(content, "quoted-printable"))
    true = b'"QUOTED-PRINTABLE" %d ' % octets

    def structure(uid, text):
        assert true in text
        return text.replace(true, b'"QUOTED-PRINTABLE" %d ' % size)
    flaws = {"structure": structure, "size": lambda n: n - octets + size}
    with scripted.Scripted({"INBOX": [message]}, flaws) as server:
        mount = mounts(server, options=["cache_size=4G"])
        path = mount.parts("Claim") / "a.txt"
        try:
            path.read_bytes()
            problem = 0
        except OSError as error:
            problem = error.errno
        assert (problem == errno.EFBIG) == (size > 256 << 20)
        assert bool(server.sent(r"BODY\.PEEK\[1\]")) == (size < 256 << 20)
        mount.unmount()
