"""Who reads .mailmount/events is told what happens to mail, whoever does it.

The poll is an hour away: what is told was told by the server, or found when a folder was listed.
"""
import errno
import os
import select
import signal
import subprocess
import time

import pytest

from lib.mount import SLOW, mounted, wait_for
from lib.others import Other

IDLE = ["poll=3600"]
MANY = 300
LINES = 2048  # that wait for a reader


def letter(number):
    return (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\n"
            b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nSubject: number %d\r\n"
            b"Message-ID: <event%d@example.org>\r\n\r\nbody %d\r\n" % (number, number, number))


def name(number, uid=None):
    return "2026-11-20 Alice - number %d [%d].eml" % (number, uid or number)


def is_open(process, path):
    """Whether a process has a file open."""
    opened = "/proc/%d/fd" % process.pid
    for fd in os.listdir(opened):
        try:
            if os.readlink(os.path.join(opened, fd)) == str(path):
                return True
        except FileNotFoundError:  # closed meanwhile
            continue
    return False


class Reader:
    """A process that is blocked on the stream, and what it has read by now."""

    def __init__(self, mount, folder, command=("cat",)):
        self.path = folder / ("read%d" % len(os.listdir(folder)))
        self.output = open(self.path, "wb")
        path = mount.path / ".mailmount/events"
        self.process = subprocess.Popen([*command, path], stdout=self.output,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        assert wait_for(lambda: is_open(self.process, path))

    def text(self):
        return self.path.read_bytes().decode()

    def lines(self):
        """Without the time, which is checked."""
        found = [line.split("\t") for line in self.text().split("\n")[:-1]]
        for line in found:
            time.strptime(line[0], "%Y-%m-%dT%H:%M:%SZ")
        return [line[1:] for line in found]

    def gets(self, *lines, look=None):
        """Whether it has these lines, in this order, and nothing else, after a while; `look` is
        done again and again meanwhile."""
        def there():
            if look:
                look()
            return len(self.lines()) >= len(lines)
        wait_for(there)
        assert self.lines() == [list(line) for line in lines]
        return True

    def end(self):
        self.process.kill()
        self.process.wait()
        self.output.close()


@pytest.fixture
def readers(folder):
    made = []

    def make(mount, *command):
        made.append(Reader(mount, folder, *command))
        return made[-1]
    yield make
    for each in made:
        each.end()


@pytest.fixture
def live(server, user, mounts):
    """(mount, another client) of an account with three letters in INBOX, which was listed."""
    server.add_user(user)
    with Other(server, user) as other:
        for number in (1, 2, 3):
            other.deliver("INBOX", letter(number))
        mount = mounts(server, user=user, options=IDLE, writes=True)
        os.listdir(mount.path / "Trash")
        assert len(os.listdir(mount.path / "INBOX")) == 6
        yield mount, other


def test_another_client(live, readers):
    mount, other = live
    reader = readers(mount)
    lines = [("new", "INBOX", name(4))]
    other.deliver("INBOX", letter(4))
    assert reader.gets(*lines)
    other.mark("INBOX", [2], ["\\Flagged", "todo"])
    lines.append(("flags", "INBOX", name(2), "\\Flagged todo"))
    assert reader.gets(*lines)
    other.mark("INBOX", [2], ["todo"], "-")
    lines.append(("flags", "INBOX", name(2), "\\Flagged"))
    assert reader.gets(*lines)
    other.mark_deleted("INBOX", [3])
    lines.append(("flags", "INBOX", name(3), "\\Deleted"))
    assert reader.gets(*lines)
    other.expunge("INBOX")
    lines.append(("removed", "INBOX", name(3)))
    assert reader.gets(*lines)


def test_a_move_of_another_client(live, readers):
    """One line where the server says which message it is, else two, in either order."""
    mount, other = live
    reader = readers(mount)
    other.move("INBOX", [1], "Trash")

    def told():
        os.listdir(mount.path / "Trash")
        os.listdir(mount.path / "INBOX")
        return any("Trash" in line[1] for line in reader.lines()) and any(
            "INBOX/" + name(1) in line[-1] or line[1:] == ["INBOX", name(1)]
            for line in reader.lines())
    assert wait_for(told)
    moved = ["moved", "Trash", name(1), "INBOX/" + name(1)]
    assert reader.lines() == [moved] or sorted(reader.lines()) == [
        ["new", "Trash", name(1)], ["removed", "INBOX", name(1)]]


def test_folders_of_another_client(server, live, readers):
    mount, other = live
    reader = readers(mount)

    def look():
        """Finds them where the server tells only of single ones (IDLE); by NOTIFY they show by
        themselves."""
        if server.name != "dovecot":
            os.listdir(mount.path)
    other.create("New")
    assert reader.gets(("folder-new", "New"), look=look)
    other.rename("New", "Newer")
    # what stays the same folder is one line where that is seen
    wait_for(lambda: look() or "Newer" in reader.text() and (
        "folder-moved" in reader.text() or "folder-removed" in reader.text()))
    lines = reader.lines()[1:]
    assert lines == [["folder-moved", "Newer", "New"]] or sorted(lines) == [
        ["folder-new", "Newer"], ["folder-removed", "New"]]
    count = len(reader.lines())
    other.delete("Newer")
    assert wait_for(lambda: look() or len(reader.lines()) > count)
    assert reader.lines()[count:] == [["folder-removed", "Newer"]]


def test_this_mount(live, readers):
    """What is done here is told as well, once the server has done it."""
    mount, other = live
    reader = readers(mount)
    os.rename(mount.path / "INBOX" / name(1), mount.path / "Trash" / name(1))
    lines = [("moved", "Trash", name(1), "INBOX/" + name(1))]
    assert reader.gets(*lines)
    (mount.path / "Trash" / name(1)).unlink()
    lines.append(("removed", "Trash", name(1)))
    assert reader.gets(*lines)
    (mount.path / "INBOX/x.eml").write_bytes(letter(9))
    lines.append(("new", "INBOX", name(9, 4)))
    assert reader.gets(*lines)
    os.link(mount.path / "INBOX" / name(2), mount.path / "INBOX/.mailmount/flags/flagged/x")
    lines.append(("flags", "INBOX", name(2), "\\Flagged"))
    assert reader.gets(*lines)
    (mount.path / "Work").mkdir()
    os.rename(mount.path / "Work", mount.path / "Play")
    lines += [("folder-new", "Work"), ("folder-moved", "Play", "Work")]
    assert reader.gets(*lines)
    (mount.path / "Play").rmdir()
    lines.append(("folder-removed", "Play"))
    assert reader.gets(*lines, look=lambda: os.listdir(mount.path))


def test_a_folder_that_is_listed_first_is_no_news(live, readers):
    mount, other = live
    other.create("Other")
    for number in range(20):
        other.deliver("Other", letter(number))
    assert wait_for(lambda: "Other" in os.listdir(mount.path))
    reader = readers(mount)
    assert len(os.listdir(mount.path / "Other")) == 40
    other.deliver("INBOX", letter(4))
    assert reader.gets(("new", "INBOX", name(4)))


SCRIPT = """
tab=$(printf '\\t')
while IFS=$tab read -r time what folder name more; do
    case $what in
    new) echo "mail in $folder: $name" ;;
    moved) echo "$more is $folder/$name" ;;
    esac
done <"$1"
echo end
"""


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_notification_script(live, readers, shell):
    mount, other = live
    reader = readers(mount, [shell, "-c", SCRIPT, "script"])
    other.deliver("INBOX", letter(4))
    assert wait_for(lambda: reader.text())
    other.mark("INBOX", [2], ["\\Flagged"])
    other.deliver("INBOX", letter(5))
    assert wait_for(lambda: reader.text().count("\n") >= 2)
    os.kill(mount.worker(), signal.SIGTERM)
    assert reader.process.wait(SLOW) == 0
    assert reader.text() == "mail in INBOX: %s\nmail in INBOX: %s\nend\n" % (name(4), name(5))


def test_tail(live, readers):
    """It looks at the size and the time of the file."""
    mount, other = live
    first = readers(mount, ["tail", "-s", "0.1", "-f"])
    other.deliver("INBOX", letter(4))
    assert first.gets(("new", "INBOX", name(4)))
    later = readers(mount, ["tail", "-s", "0.1", "-f"])
    time.sleep(0.5)
    other.deliver("INBOX", letter(5))
    assert later.gets(("new", "INBOX", name(5)))
    assert first.gets(("new", "INBOX", name(4)), ("new", "INBOX", name(5)))


# ---- the file itself

@pytest.fixture
def quiet(dovecot, user, mounts):
    """(mount, another client) of an account with a letter."""
    dovecot.add_user(user)
    with Other(dovecot, user) as other:
        other.deliver("INBOX", letter(1))
        mount = mounts(dovecot, user=user, options=IDLE, writes=True)
        assert len(os.listdir(mount.path / "INBOX")) == 2
        yield mount, other


def test_two_readers_and_pieces(quiet, readers):
    mount, other = quiet
    fd = os.open(mount.path / ".mailmount/events", os.O_RDONLY)
    try:
        reader = readers(mount)
        other.deliver("INBOX", letter(2))
        got = b""
        while not got.endswith(b"\n"):
            piece = os.read(fd, 7)
            assert 0 < len(piece) <= 7
            got += piece
        assert reader.gets(("new", "INBOX", name(2)))
        assert got.decode() == reader.text()
    finally:
        os.close(fd)


def test_it_does_not_wait_if_told_so(quiet):
    mount, other = quiet
    fd = os.open(mount.path / ".mailmount/events", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(BlockingIOError):
            os.read(fd, 4096)
        other.deliver("INBOX", letter(2))
        assert select.select([fd], [], [], SLOW)[0] == [fd]
        assert os.read(fd, 4096).endswith(name(2).encode() + b"\n")
        assert select.select([fd], [], [], 0)[0] == []
        with pytest.raises(BlockingIOError):
            os.read(fd, 4096)
        with select.epoll() as polled:
            polled.register(fd, select.EPOLLIN)
            assert polled.poll(0) == []
            other.deliver("INBOX", letter(3))
            assert polled.poll(SLOW) == [(fd, select.EPOLLIN)]
            assert os.read(fd, 4096).endswith(name(3).encode() + b"\n")
            assert polled.poll(0) == []
    finally:
        os.close(fd)
    inbox = os.open(mount.path / "INBOX" / name(2), os.O_RDONLY)  # all others never wait
    assert select.select([inbox], [inbox], [], 0) == ([inbox], [inbox], [])
    os.close(inbox)


def test_it_cannot_be_written(quiet):
    mount, other = quiet
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
        with pytest.raises(OSError) as refused:
            os.open(mount.path / ".mailmount/events", flags)
        assert refused.value.errno in (errno.EPERM, errno.EACCES)


def test_copied_from(quiet):
    """What cp and cat ask for first (copy_file_range) reads the stream, or is refused."""
    mount, other = quiet
    worker = mount.worker()
    with open(mount.path / ".mailmount/events", "rb") as events:
        other.deliver("INBOX", letter(2))
        assert wait_for(lambda: os.fstat(events.fileno()).st_size > 0)
        with open(mount.path / "INBOX/.x.swp", "wb") as to:
            try:
                assert 0 < os.copy_file_range(events.fileno(), to.fileno(), 10) <= 10
            except OSError as refusal:
                assert refusal.errno in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL)
    assert mount.worker() == worker


def test_interrupted(quiet, readers):
    mount, other = quiet
    reader = readers(mount)
    assert wait_for(lambda: blocked(reader.process.pid))
    reader.process.send_signal(signal.SIGINT)
    assert reader.process.wait(SLOW) == -signal.SIGINT
    other.deliver("INBOX", letter(2))
    assert readers(mount).process.poll() is None  # and others still can


def blocked(pid):
    """Whether it waits in a read."""
    try:
        with open("/proc/%d/syscall" % pid) as call:
            return call.read().split()[0] == "0"
    except (OSError, IndexError):
        return False


HANDLES = """
import os, signal, sys
signal.signal(signal.SIGALRM, lambda number, frame: sys.stdout.write("signal\\n") and None)
signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
sys.stdout.write(os.read(os.open(sys.argv[1], os.O_RDONLY), 4096).decode().split("\\t")[1])
"""


def test_a_reader_that_handles_signals_goes_on(quiet, readers):
    mount, other = quiet
    reader = readers(mount, ["python3", "-u", "-c", HANDLES])
    assert wait_for(lambda: reader.text().count("signal") >= 3)
    other.deliver("INBOX", letter(2))
    assert reader.process.wait(SLOW) == 0
    assert reader.text().endswith("new")


def test_a_slow_reader_overruns(quiet, readers):
    mount, other = quiet
    early = readers(mount)
    for number in range(2, MANY + 1):
        other.deliver("INBOX", letter(number))
    assert wait_for(lambda: len(os.listdir(mount.path / "INBOX")) == 2 * MANY)
    assert wait_for(lambda: early.text().count("\n") == MANY - 1)  # those are told
    early.end()
    fd = os.open(mount.path / ".mailmount/events", os.O_RDONLY | os.O_NONBLOCK)
    reader = readers(mount)
    told = 0
    while told < LINES + MANY:
        how = "+" if told % (2 * MANY) == 0 else "-"
        other.mark("INBOX", range(1, MANY + 1), ["\\Flagged"], how)
        told += MANY
        assert wait_for(lambda: reader.text().count("\n") >= told)
    got = b""
    with pytest.raises(BlockingIOError):
        while True:
            got += os.read(fd, 65536)
    os.close(fd)
    first, rest = got.split(b"\n", 1)
    assert first.split(b"\t")[1:] == [b"overrun", b"%d" % (told - LINES)]
    assert reader.text().encode().endswith(b"\n" + rest)
    assert rest.count(b"\n") == LINES


def test_so_many_readers_and_no_more(quiet):
    mount, other = quiet
    opened = []
    try:
        with pytest.raises(OSError) as refused:
            for _ in range(1000):
                opened.append(os.open(mount.path / ".mailmount/events", os.O_RDONLY))
        assert refused.value.errno == errno.ENFILE
        assert len(opened) >= 16
    finally:
        for fd in opened:
            os.close(fd)
    os.close(os.open(mount.path / ".mailmount/events", os.O_RDONLY))


# ---- the end

def test_sigterm_ends_readers(quiet, readers):
    mount, other = quiet
    both = [readers(mount), readers(mount, ["cat"])]
    worker = mount.worker()
    os.kill(worker, signal.SIGTERM)
    for reader in both:
        assert reader.process.wait(SLOW) == 0
    assert wait_for(lambda: not mounted(mount.path) and not mount.processes())


def test_umount_does_not_wait_for_a_reader(quiet, readers):
    mount, other = quiet
    reader = readers(mount)
    busy = subprocess.run(["umount", mount.path], capture_output=True, timeout=SLOW)
    assert busy.returncode != 0 and reader.process.poll() is None
    subprocess.run(["umount", "-l", mount.path], check=True, timeout=SLOW)
    assert reader.process.wait(SLOW) == 0
    assert reader.text() == ""
    assert wait_for(lambda: not mount.processes())
