"""Messages that come back under other UIDs, or in other folders, are the same messages."""
import base64
import errno
import functools
import hashlib
import os
import subprocess
import time
import re

import pytest

from lib import plainserver
from lib.mount import wait_for
from lib.others import Other
from lib.servers import Dovecot

DATE = "01-Mar-2025 12:00:00 +0000"
BIG = 3 << 20
IDLE = ["poll=3600"]


@functools.cache
def noise(seed):
    """40 KiB that cannot be compressed."""
    lines = [hashlib.sha512(b"%d %d" % (seed, n)).digest() for n in range(512)]
    return b"".join(base64.b64encode(line)[:78] + b"\r\n" for line in lines)


def letter(number, body=None, ident=None, subject=None, extra=b""):
    """A letter whose body is longer than any header, so that traffic tells one from the other."""
    body = body or noise(number)
    return (b"Received: from mx.example.org by mail.example.org id %s\r\n"
            b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\n"
            b"Date: Sat, 1 Mar 2025 12:00:00 +0000\r\nSubject: %s\r\n"
            b"Message-ID: <%s@example.org>\r\n\r\n" % (
                extra or b"%03d" % number, subject or b"number %03d" % number,
                ident or b"identity%03d" % number)) + body


def uids(mount, mailbox="INBOX"):
    """{subject's number: UID} as listed."""
    found = {}
    try:
        names = os.listdir(mount.path / mailbox)
    except FileNotFoundError:  # not known yet
        return found
    for name in names:
        match = re.search(r"number (\d+)[^\[]*\[(\d+)\]\.eml$", name)
        if match:
            found[int(match[1])] = int(match[2])
    return found


def renew(server, user, mailbox):
    """The store is renumbered: all UIDs are others, under another UIDVALIDITY."""
    if isinstance(server, plainserver.PlainServer):
        server.store.renew(mailbox)
        return
    folder = server.maildir(user, "" if mailbox == "INBOX" else "." + mailbox)
    lists = folder / "dovecot-uidlist"
    lines = lists.read_bytes().split(b"\n")
    head = re.search(rb"V(\d+) N(\d+)", lines[0])
    messages = [line.split(b" ", 1)[1] for line in lines[1:] if line]
    start = 1000
    new = re.sub(rb"V\d+ N\d+", b"V%d N%d" % (int(head[1]) + 1, start + len(messages)), lines[0])
    for index in folder.glob("dovecot.index*"):
        index.unlink()
    with open(lists, "wb") as file:  # the same file: its owner stays
        file.write(b"\n".join([new, *(b"%d %s" % (start + n, rest)
                                      for n, rest in enumerate(messages)), b""]))


SERVERS = ["dovecot", "plain", "objectid"]


@pytest.fixture(params=SERVERS)
def kind(request):
    return request.param


@pytest.fixture
def anew(kind, request, user):
    """A server whose store can be renumbered, without ids for messages or with them."""
    if kind == "dovecot":
        server = request.getfixturevalue("dovecot")
        server.add_user(user)
        yield server
        return
    more = ("OBJECTID",) if kind == "objectid" else ()
    with plainserver.PlainServer({"Trash": [], "Archive": []},
                                 (*plainserver.USUAL, *more)) as server:
        yield server


@pytest.fixture
def account(anew, user, mounts, through):
    """(mount, proxy, other client) of an account with ten letters in INBOX, all read, on a server
    that tells nothing."""
    proxy = through(anew)
    with Other(anew, user) as other:
        for number in range(10):
            other.deliver("INBOX", letter(number), date=DATE)
        mount = mounts(anew, user=user, port=proxy.port, tls="none", options=IDLE, writes=True)
        for number in range(10):
            assert mount.message("number %03d" % number).read_bytes() == letter(number)
        yield mount, proxy, other


def remount(mount):
    """So that nothing is in the kernel's memory, and the list is asked for anew."""
    mount.unmount()
    return mount.__enter__()


def read_all(mount, proxy, numbers, mailbox="INBOX"):
    """Reads them; returns how many bytes came for it."""
    before = proxy.traffic()
    for number in numbers:
        path = mount.message("number %03d" % number, mailbox)
        assert path.stat().st_size == len(letter(number))
        assert path.read_bytes() == letter(number)
    return (proxy.traffic() - before).down


BODY = len(letter(0))


def test_a_new_uidvalidity(account, anew, user):
    mount, proxy, other = account
    old = uids(mount)
    inodes = {n: mount.message("number %03d" % n).stat().st_ino for n in old}
    mount.unmount()
    other.disconnect()
    renew(anew, user, "INBOX")
    before = proxy.traffic()
    with mount:
        new = uids(mount)
        assert sorted(new) == sorted(old)
        if isinstance(anew, Dovecot):
            assert not set(new.values()) & set(old.values())
        read_all(mount, proxy, new)
        assert (proxy.traffic() - before).down < BODY, "bodies were fetched again"
        assert not {mount.message("number %03d" % n).stat().st_ino for n in new} & set(
            inodes.values())
        mount.unmount()
    other.connect()


def test_a_new_uidvalidity_while_listed(account, anew, user):
    """Names follow; what bears an old number is gone, and is never another message."""
    mount, proxy, other = account
    old = {n: mount.message("number %03d" % n) for n in uids(mount)}
    opened = {n: open(path, "rb") for n, path in old.items()}
    directory = os.open(mount.path / "INBOX", os.O_RDONLY)
    other.disconnect()
    renew(anew, user, "INBOX")
    proxy.cut()
    before = proxy.traffic()
    assert wait_for(lambda: all(not path.exists() or letter_is(path, n)
                                for n, path in old.items()) and
                    sorted(uids(mount)) == sorted(old) and not changed(mount, proxy, old))
    assert (proxy.traffic() - before).down < BODY + 20000
    for number, file in opened.items():  # open files keep their bytes
        assert file.read() == letter(number)
        file.close()
    os.close(directory)
    other.connect()


def letter_is(path, number):
    try:
        return path.read_bytes() == letter(number)
    except OSError as problem:
        assert problem.errno in (errno.ENOENT, errno.ESTALE), problem
        return True


def changed(mount, proxy, old):
    """What of the listing is not the letter whose name it bears."""
    return [n for n in uids(mount) if not letter_is(mount.message("number %03d" % n), n)]


def test_moved_by_another_client(account, anew):
    mount, proxy, other = account
    assert uids(mount, "Archive" if "Archive" in os.listdir(mount.path) else "Trash") == {}
    other.select("INBOX")
    other.move("INBOX", other.uids("INBOX")[:3], "Trash")
    before = proxy.traffic()
    assert wait_for(lambda: sorted(uids(mount, "Trash")) == [0, 1, 2])
    assert wait_for(lambda: sorted(uids(mount)) == list(range(3, 10)))
    read_all(mount, proxy, [0, 1, 2], "Trash")
    assert (proxy.traffic() - before).down < BODY, "bodies were fetched again"


def test_moved_before_it_is_looked_for(account, anew):
    """The messages are gone in one folder long before the other is listed."""
    mount, proxy, other = account
    other.move("INBOX", other.uids("INBOX")[:3], "Trash")
    assert wait_for(lambda: sorted(uids(mount)) == list(range(3, 10)))
    remount(mount)
    before = proxy.traffic()
    assert sorted(uids(mount, "Trash")) == [0, 1, 2]
    read_all(mount, proxy, [0, 1, 2], "Trash")
    assert (proxy.traffic() - before).down < BODY, "bodies were fetched again"


def test_renamed_by_another_client(account, anew):
    """By its id where there is one, and then all numbers stay; else by its messages."""
    mount, proxy, other = account
    other.create("Before")
    for number in range(20, 24):
        other.deliver("Before", letter(number), date=DATE)
    assert wait_for(lambda: sorted(uids(mount, "Before")) == [20, 21, 22, 23])
    read_all(mount, proxy, range(20, 24), "Before")
    file = open(mount.message("number 020", "Before"), "rb")
    inode = mount.message("number 021", "Before").stat().st_ino
    before = proxy.traffic()
    other.rename("Before", "After")
    assert wait_for(lambda: "After" in os.listdir(mount.path))
    assert wait_for(lambda: "Before" not in os.listdir(mount.path))
    assert sorted(uids(mount, "After")) == [20, 21, 22, 23]
    read_all(mount, proxy, range(20, 24), "After")
    assert (proxy.traffic() - before).down < BODY, "bodies were fetched again"
    assert file.read() == letter(20)
    file.close()
    if isinstance(anew, plainserver.PlainServer) and anew.has("OBJECTID"):
        assert mount.message("number 021", "After").stat().st_ino == inode


def test_an_id_of_two_mailboxes(mounts, folder):
    """Which says nothing: the record of one is not taken for the other's."""
    server = plainserver.PlainServer({"INBOX": [], "One": [letter(1)], "Trash": []},
                                     (*plainserver.USUAL, "OBJECTID"))
    with server:
        mount = mounts(server, options=["poll=5"], writes=True)
        assert sorted(uids(mount, "One")) == [1]
        number = os.stat(mount.path / "One").st_ino
        with Other(server) as other:
            other.create("Two")
            server.store.mailboxes["Two"].mailboxid = server.store.mailboxes["One"].mailboxid
            other.deliver("Two", letter(2))
        assert wait_for(lambda: "Two" in os.listdir(mount.path))
        assert sorted(uids(mount, "Two")) == [2] and sorted(uids(mount, "One")) == [1]
        assert os.stat(mount.path / "One").st_ino == number
        assert os.stat(mount.path / "Two").st_ino != number


# ---- what must not be taken for the same

def forged(number):
    """As long, with the same Message-ID; the rest is another's."""
    true = letter(number)
    false = letter(number, noise(1000 + number), subject=b"evil %05d" % number, extra=b"666")
    assert len(true) == len(false)
    return false


@pytest.mark.parametrize("how", ["beside", "instead", "in another folder", "same header"])
def test_a_forged_twin(anew, user, mounts, through, how):
    """Each bears its own bytes, whatever UIDs they get."""
    if how == "same header":  # it lies beside the true one, and nothing but the body tells them
        false = letter(1, noise(1001))
    else:
        false = forged(1)
    proxy = through(anew)
    with Other(anew, user) as other:
        other.deliver("INBOX", letter(1), date=DATE)
        if how in ("beside", "same header"):
            other.deliver("INBOX", false, date=DATE)
        mount = mounts(anew, user=user, port=proxy.port, tls="none", options=IDLE, writes=True)
        true = [mount.path / "INBOX" / name for name in os.listdir(mount.path / "INBOX")
                if name.endswith("[1].eml")]
        assert true[0].read_bytes() == letter(1)
        mount.unmount()
        if how == "instead":
            other.expunge("INBOX", other.uids("INBOX"))
            other.deliver("INBOX", false, date=DATE)
        if how == "in another folder":
            other.expunge("INBOX", other.uids("INBOX"))
            other.deliver("Trash", false, date=DATE)
        if how == "same header":  # the true one goes, the false one stays
            other.expunge("INBOX", other.uids("INBOX")[:1])
        other.disconnect()
        renew(anew, user, "INBOX")
        mailbox = "Trash" if how == "in another folder" else "INBOX"
        with mount:
            found = sorted(path.read_bytes() for path in (mount.path / mailbox).iterdir()
                           if path.name.endswith(".eml"))
            wanted = {"beside": [letter(1), false]}.get(how, [false])
            assert found == sorted(wanted)
            mount.unmount()
        other.connect()


def test_edited_in_its_place(anew, user, mounts, through):
    """Nothing but the body tells the new one from the old one, which is gone when it comes."""
    edited = letter(1, noise(1001))
    proxy = through(anew)
    with Other(anew, user) as other:
        other.deliver("INBOX", letter(1), date=DATE)
        mount = mounts(anew, user=user, port=proxy.port, tls="none", options=IDLE, writes=True)
        path, = ((mount.path / "INBOX") / n for n in os.listdir(mount.path / "INBOX")
                 if n.endswith("].eml"))
        assert path.read_bytes() == letter(1)
        other.expunge("INBOX", other.uids("INBOX"))
        assert wait_for(lambda: uids(mount) == {})
        other.deliver("INBOX", edited, date=DATE)
        assert wait_for(lambda: uids(mount) != {})
        path, = ((mount.path / "INBOX") / n for n in os.listdir(mount.path / "INBOX")
                 if n.endswith("].eml"))
        assert path.read_bytes() == edited
        # and once more, by ourselves
        again = letter(1, noise(1002))
        file = mount.folder / "edited.eml"
        file.write_bytes(again)
        os.utime(file, (path.stat().st_mtime,) * 2)
        assert subprocess.run(["cp", "-p", file, mount.path / "Trash"]).returncode == 0
        mount.unmount()
        with mount:
            found = [p.read_bytes() for p in (mount.path / "Trash").iterdir()
                     if p.name.endswith("].eml")]
            assert found == [again]
            mount.unmount()


# ---- open while it changes

@pytest.mark.parametrize("what", ["renumbered", "expunged", "moved", "renamed", "removed"])
def test_open_while_it_changes(anew, user, mounts, through, what):
    """A small message that is open keeps its bytes. A big one keeps what is here of it; the rest
    cannot come from anywhere, or comes from where it is now: never another's bytes."""
    small, big = letter(1), letter(2) + b"0123456789abcdef" * (BIG // 16)
    proxy = through(anew)
    with Other(anew, user) as other:
        other.create("Box")
        for raw in (letter(7), small, big, letter(8) + b"x" * BIG):
            other.deliver("Box", raw, date=DATE)
        mount = mounts(anew, user=user, port=proxy.port, tls="none", options=IDLE, writes=True)
        files = [open(mount.message("number 00%d" % n, "Box"), "rb", buffering=0) for n in (1, 2)]
        start = os.pread(files[1].fileno(), 65536, 0)
        assert start == big[:65536]
        if what == "renumbered":
            other.disconnect()
            renew(anew, user, "Box")
            proxy.cut()
        elif what == "expunged":
            other.expunge("Box", other.uids("Box")[1:3])
        elif what == "moved":
            other.move("Box", other.uids("Box")[1:3], "Trash")
        elif what == "renamed":
            other.rename("Box", "Other")
        else:
            other.delete("Box")
        proxy.cut()
        assert wait_for(lambda: gone(mount, "Box", files[0], what))
        os.posix_fadvise(files[1].fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(files[0].fileno(), len(small) + 1, 0) == small
        assert os.pread(files[1].fileno(), 65536, 0) == start
        for at in range(0, len(big), 1 << 20):
            try:
                assert os.pread(files[1].fileno(), 65536, at) == big[at:at + 65536]
            except OSError as problem:
                assert problem.errno in (errno.EIO, errno.ESTALE), problem
        for file in files:
            file.close()
        if what == "renumbered":
            other.connect()


def gone(mount, mailbox, file, what):
    """Whether the name of the open file leads nowhere any more, or (renumbered) to others."""
    inode = os.fstat(file.fileno()).st_ino
    try:
        return all(os.stat(mount.path / mailbox / name).st_ino != inode
                   for name in os.listdir(mount.path / mailbox)
                   if "number 001" in name and name.endswith(".eml"))
    except OSError:  # the folder went, perhaps while it was looked at
        return True


def test_a_folder_made_anew(account, anew):
    """Of the same name, while the old one is listed and a message of it is open."""
    mount, proxy, other = account
    other.create("Box")
    other.deliver("Box", letter(30), date=DATE)
    assert wait_for(lambda: sorted(uids(mount, "Box")) == [30])
    path = mount.message("number 030", "Box")
    file = open(path, "rb")
    inode = path.stat().st_ino
    other.select("INBOX")
    other.delete("Box")
    time.sleep(1.5)  # what happens within a second Dovecot does not tell sessions that had looked
    other.create("Box")
    other.deliver("Box", letter(31), date=DATE)
    assert wait_for(lambda: os.listdir(mount.path) and sorted(uids(mount, "Box")) == [31])
    assert mount.message("number 031", "Box").read_bytes() == letter(31)
    assert mount.message("number 031", "Box").stat().st_ino != inode
    with pytest.raises(OSError) as problem:
        path.read_bytes()
    assert problem.value.errno in (errno.ENOENT, errno.ESTALE)
    assert file.read() == letter(30)
    file.close()


def test_put_back(server, user, mounts, through):
    """A folder that was removed comes back as from a backup: the same mail under other numbers."""
    server.add_user(user)
    proxy = through(server)
    with Other(server, user) as other:
        other.create("Box")
        for number in range(5):
            other.deliver("Box", letter(number), date=DATE)
        mount = mounts(server, user=user, port=proxy.port, tls="none", options=IDLE, writes=True)
        read_all(mount, proxy, range(5), "Box")
        inode = mount.message("number 000", "Box").stat().st_ino
        mount.unmount()
        other.delete("Box")
        other.create("Box")
        for number in (4, 2, 0, 1, 3):
            other.deliver("Box", letter(number), date=DATE)
        with mount:
            before = proxy.traffic()
            assert sorted(uids(mount, "Box")) == list(range(5))
            read_all(mount, proxy, range(5), "Box")
            assert (proxy.traffic() - before).down < BODY, "bodies were fetched again"
            assert mount.message("number 000", "Box").stat().st_ino != inode
            mount.unmount()


def test_a_folder_kept_whole(anew, user, mounts, through):
    """What was fetched ahead is known as well as what was read."""
    proxy = through(anew)
    with Other(anew, user) as other:
        for number in range(10):
            other.deliver("INBOX", letter(number), date=DATE)
        mount = mounts(anew, user=user, port=proxy.port, tls="none", writes=True,
                       options=[*IDLE, "prefetch=INBOX"])
        progress = mount.path / ".mailmount/prefetch"
        assert wait_for(lambda: progress.read_text().startswith("complete\t"))
        mount.unmount()
        other.disconnect()
        renew(anew, user, "INBOX")
        before = proxy.traffic()
        with mount:
            assert wait_for(lambda: progress.read_text().startswith("complete\t"))
            read_all(mount, proxy, range(10))
            assert (proxy.traffic() - before).down < BODY, "bodies were fetched again"
            mount.unmount()
        other.connect()
