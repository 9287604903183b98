"""Little traffic: what goes over the wire, counted by a proxy."""
import os
import re

import pytest

from lib import mail, scripted

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
