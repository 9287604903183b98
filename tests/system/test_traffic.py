"""Little traffic: what goes over the wire, counted by a proxy."""
import base64
import os
import random
import re
import signal
import subprocess
import time

import pytest

from lib import mail, scripted
from lib.mount import wait_for

KIB = 1024
LARGE = 20_000_000


@pytest.fixture(scope="module")
def big():
    """A message with a small text and an attachment of 20 MB."""
    return mail.Message("INBOX", mail.multipart(
        "mixed", mail.text("Just a small text.\n"),
        mail.attachment("large.bin", mail.noise(LARGE))), subject="Large")


@pytest.fixture(scope="module")
def plain_big():
    """20 MB of text without parts."""
    return mail.Message("INBOX", mail.text("A line of a very long letter.\n" * (LARGE // 31)),
                        subject="Long letter")


@pytest.fixture
def counted(server, user, big, plain_big, mounts, through):
    """(mount, proxy) of an account with both."""
    server.add_user(user)
    with server.client(user) as client:
        mail.deliver(client, [big, plain_big])
    proxy = through(server)
    return mounts(server, user=user, port=proxy.port, tls="none"), proxy


def read_some(path, size, offset=0):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, size, offset)
    finally:
        os.close(fd)


def test_the_start_of_an_attachment(counted, big):
    mount, proxy = counted
    before = proxy.traffic()
    got = read_some(mount.parts("Large") / "large.bin", 4096)
    assert got == big.files["large.bin"][:4096]
    assert (proxy.traffic() - before).down < 256 * KIB


def test_the_end_of_an_attachment(counted, big):
    mount, proxy = counted
    before = proxy.traffic()
    got = read_some(mount.parts("Large") / "large.bin", 4096, LARGE - 4000)
    assert got == big.files["large.bin"][-4000:]
    assert (proxy.traffic() - before).down < 512 * KIB


def test_random_reads(counted, big):
    """Each moves its surroundings, not what lies between."""
    mount, proxy = counted
    chance = random.Random(1)
    content = big.files["large.bin"]
    places = [chance.randrange(LARGE - 4096) for _ in range(24)]
    before = proxy.traffic()
    fd = os.open(mount.parts("Large") / "large.bin", os.O_RDONLY)
    try:
        for place in places:
            assert os.pread(fd, 4096, place) == content[place:place + 4096], place
    finally:
        os.close(fd)
    assert (proxy.traffic() - before).down < 256 * KIB + len(places) * 192 * KIB


@pytest.mark.parametrize("subject", ["Large", "Long letter"])
def test_the_start_of_a_message(counted, big, plain_big, subject):
    mount, proxy = counted
    message = big if subject == "Large" else plain_big
    before = proxy.traffic()
    assert read_some(mount.message(subject), 4096) == message.raw[:4096]
    assert (proxy.traffic() - before).down < 256 * KIB


def test_a_small_part_beside_a_large_one(counted, big):
    mount, proxy = counted
    before = proxy.traffic()
    assert (mount.parts("Large") / "body.txt").read_bytes() == big.files["body.txt"]
    assert (proxy.traffic() - before).down < 64 * KIB


def test_a_listing_moves_no_body(counted):
    mount, proxy = counted
    before = proxy.traffic()
    for folder in (mount.path / "INBOX", mount.parts("Large")):
        for entry in os.scandir(folder):
            entry.stat()
    assert (proxy.traffic() - before).down < 256 * KIB


def test_a_listing_of_many(server, user, mounts, through):
    """300 messages of 64 KiB: their headers, and a few small bodies at most."""
    server.add_user(user)
    letters = [mail.Message("INBOX", mail.attachment("a.bin", mail.noise(48_000, n)),
                            subject="Letter %d" % n) for n in range(300)]
    with server.client(user) as client:
        mail.deliver(client, letters)
    proxy = through(server)
    mount = mounts(server, user=user, port=proxy.port, tls="none")
    before = proxy.traffic()
    entries = [e.stat() for e in os.scandir(mount.path / "INBOX")]
    assert len(entries) == 600
    assert (proxy.traffic() - before).down < 300 * 1024 + 6 * 65 * KIB


def drop_from_kernel(path):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def test_reading_twice_fetches_once(counted, big):
    mount, proxy = counted
    files = [mount.message("Large"), mount.parts("Large") / "large.bin",
             mount.parts("Large") / "body.txt"]
    for path in files:
        path.read_bytes()
    before = proxy.traffic()
    for path in files:
        drop_from_kernel(path)
        path.read_bytes()
    assert (proxy.traffic() - before).down < 8 * KIB
    mount.unmount()
    with mount:
        before = proxy.traffic()
        assert files[0].read_bytes() == big.raw
        assert files[1].read_bytes() == big.files["large.bin"]
        assert (proxy.traffic() - before).down < 64 * KIB


def test_a_whole_message_moves_once(counted, big):
    mount, proxy = counted
    before = proxy.traffic()
    assert mount.message("Large").read_bytes() == big.raw
    assert (proxy.traffic() - before).down < len(big.raw) * 1.05 + 64 * KIB


def test_an_unchanged_folder_costs_one_round_trip(dovecot_sample, mounts, through):
    proxy = through(dovecot_sample)
    mount = mounts(dovecot_sample, port=proxy.port, tls="none")
    names = sorted(os.listdir(mount.path / "INBOX"))
    mount.unmount()
    with mount:
        before = proxy.traffic()
        assert sorted(os.listdir(mount.path / "INBOX")) == names
        assert (proxy.traffic() - before).trips <= 1
        assert (proxy.traffic() - before).down < 4 * KIB


def test_only_peeks(mounts, messages):
    """No command that could change anything, and header fields only for a listing."""
    with scripted.Scripted({"INBOX": messages}) as server:
        mount = mounts(server)
        for entry in os.scandir(mount.path / "INBOX"):
            entry.stat()
        fetched = server.sent(r"BODY\.PEEK\[")
        whole = [c for c in fetched if not re.search(r"\[HEADER\.FIELDS", c)]
        assert len(whole) <= 8, whole
        for entry in os.scandir(mount.path / "INBOX"):
            if entry.is_file():
                with open(entry, "rb") as file:
                    file.read()
        assert not server.sent(r"BODY\[|RFC822[ )]|\bSELECT|\bSTORE|EXPUNGE|CLOSE")
        mount.unmount()


# ---- what nobody waits for any more

MIB = 1 << 20
HUGE = 64_000_000
READ = 24 * MIB
IN_FLIGHT = 8 * MIB  # what is asked for at once, at most, and as much ahead of it


@pytest.fixture(scope="module")
def huge():
    """64 MB in a part that is read in order, and in one that must be decoded whole; nothing that
    servers could compress well."""
    block = base64.encodebytes(mail.noise(57 * 20000)).replace(b"\n", b"\r\n")
    return [mail.Message("INBOX", mail.multipart("mixed", mail.attachment(
        name, block * (HUGE // len(block)), "text/csv", encoding)), subject=subject)
        for name, encoding, subject in (("plain.csv", "7bit", "Plain"),
                                        ("quoted.csv", "quoted-printable", "Quoted"))]


def rest_after(proxy):
    """What the server still sends until nothing has come for a second."""
    before = proxy.traffic().down

    def quiet():
        seen = proxy.traffic().down
        time.sleep(1)
        return proxy.traffic().down == seen
    assert wait_for(quiet)
    return proxy.traffic().down - before


@pytest.mark.parametrize("subject,file", [
    ("Plain", None), ("Plain", "plain.csv"), ("Quoted", "quoted.csv")])
def test_interrupting_a_big_read_stops_the_traffic(server, user, huge, mounts, through, subject,
                                                   file):
    server.add_user(user)
    with server.client(user) as client:
        mail.deliver(client, huge)
    proxy = through(server)
    mount = mounts(server, user=user, port=proxy.port, tls="none")
    path = mount.parts(subject) / file if file else mount.message(subject)
    os.stat(path.parent)
    start = proxy.traffic().down
    proxy.stall(after=READ)
    reader = subprocess.Popen(["cat", path], stdout=subprocess.DEVNULL)
    assert wait_for(lambda: proxy.traffic().down - start >= READ)
    assert reader.poll() is None
    reader.send_signal(signal.SIGINT)
    assert reader.wait(60) == -signal.SIGINT
    proxy.resume()
    assert rest_after(proxy) < IN_FLIGHT + MIB // 16  # and the lines around the bytes
    assert proxy.traffic().down - start < READ + 2 * IN_FLIGHT
