"""Requests written to .mailmount/control: what write(2) returns is what became of them."""
import errno
import os
import subprocess
import threading

import pytest

from lib.mount import SLOW, wait_for
from lib.others import Other

FAR = ["poll=3600"]


def letter(number):
    return (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\n"
            b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nSubject: number %d\r\n\r\nbody\r\n" % number)


def ask(mount, request):
    """Writes one request; 0, or the errno of the write."""
    fd = os.open(mount.path / ".mailmount/control", os.O_WRONLY)
    try:
        assert os.write(fd, request) == len(request)
        return 0
    except OSError as error:
        return error.errno
    finally:
        os.close(fd)


def status(mount):
    return (mount.path / ".mailmount/status").read_text()


@pytest.fixture
def mounted_with(dovecot, user, mounts, through):
    """A mount with a time-out, through its `proxy`, with folders INBOX and Other/Deep."""
    def make(timeout):
        dovecot.add_user(user)
        with dovecot.client(user) as client:
            client.command(b"CREATE Other/Deep")
            client.append(b"INBOX", letter(1))
        proxy = through(dovecot)
        made = mounts(dovecot, user=user, port=proxy.port, tls="none", writes=True,
                      options=[*FAR, "timeout=%d" % timeout])
        made.proxy = proxy
        return made
    return make


@pytest.fixture
def mount(mounted_with):
    return mounted_with(5)


REFUSED = [(b"", 0), (b"\n", errno.EINVAL), (b"nonsense\n", errno.EINVAL),
           (b"checkall\n", errno.EINVAL), (b"check Nowhere\n", errno.ENOENT),
           (b"check Other/Nowhere\n", errno.ENOENT), (b"check IN\0BOX\n", errno.EINVAL),
           (b"check \xff\n", errno.EINVAL), (b"retry INBOX\n", errno.EINVAL),
           (b"check " + b"x" * 9000 + b"\n", errno.EINVAL)]
TAKEN = [b"check", b"check\n", b"check INBOX\n", b"check /INBOX/\n", b"check Other/Deep\n",
         b"check Other\n", b"retry\n"]


def test_which_are_taken(mount):
    for request, error in REFUSED:
        assert (request, ask(mount, request)) == (request, error)
    for request in TAKEN:
        assert (request, ask(mount, request)) == (request, 0)


def test_it_is_a_file(mount):
    """Listed in .mailmount, which is not; shells can write to it; its text says what it takes."""
    control = mount.path / ".mailmount/control"
    assert ".mailmount" not in os.listdir(mount.path)
    assert {"control", "failed", "status"} <= set(os.listdir(mount.path / ".mailmount"))
    assert "check [FOLDER]" in control.read_text()
    assert os.stat(control).st_mode == 0o100600
    assert os.system("echo check INBOX > '%s' && echo check >> '%s'" % (control, control)) == 0
    assert os.system("! echo nonsense > '%s' 2> /dev/null" % control) == 0
    with pytest.raises(OSError):
        control.unlink()


def test_one_line_a_write(mount):
    """What follows the first line is left to the next write, as write(2) has it."""
    fd = os.open(mount.path / ".mailmount/control", os.O_WRONLY)
    assert os.write(fd, b"check INBOX\nnonsense\n") == len(b"check INBOX\n")
    with pytest.raises(OSError) as refused:
        os.write(fd, b"nonsense\n")
    assert refused.value.errno == errno.EINVAL
    os.close(fd)


def test_check_looks_now(dovecot, user, mount):
    """A folder that nothing is told of."""
    deep = mount.path / "Other/Deep"
    assert os.listdir(deep) == []
    with Other(dovecot, user) as other:
        other.deliver("Other/Deep", letter(2))
        mount.proxy.heard = b""
        assert ask(mount, b"check Other/Deep\n") == 0
        assert b"EXAMINE Other/Deep" in mount.proxy.heard
        assert len(os.listdir(deep)) == 2
        other.create("New")
        assert ask(mount, b"check New\n") == 0  # a name that is not known yet is asked for
        assert ask(mount, b"check\n") == 0
        assert "New" in os.listdir(mount.path)


def test_out_of_reach(mount):
    """Requests fail, and `retry` ends the pause between attempts."""
    assert len(os.listdir(mount.path / "INBOX")) == 2
    mount.proxy.go_away()
    assert wait_for(lambda: "state: offline" in status(mount))
    for request in (b"check INBOX\n", b"check\n", b"retry\n"):
        assert (request, ask(mount, request)) == (request, errno.ENETUNREACH)
    for _ in range(8):  # the pauses grow
        ask(mount, b"retry\n")
    mount.proxy.come_back()
    assert ask(mount, b"retry\n") == 0
    assert "state: online" in status(mount)
    assert ask(mount, b"check INBOX\n") == 0


def test_sign_in_again(usual_plain, mounts):
    """After a refusal the next attempt is minutes away; the password is asked for anew."""
    mount = mounts(usual_plain, writes=True, options=FAR)
    usual_plain.password = "another"
    usual_plain.cut()
    assert wait_for(lambda: "state: offline" in status(mount))
    assert ask(mount, b"retry\n") == errno.EACCES
    assert ask(mount, b"check INBOX\n") == errno.EACCES
    mount.secret.write_text("another\n")
    assert ask(mount, b"retry\n") == 0
    assert "state: online" in status(mount)


WALKS = {"grep": "grep -r number . > '%s/hits'", "cp": "cp -r . '%s'", "rsync": "rsync -a ./ '%s'",
         "tar": "tar -cf - . | tar -x -C '%s'", "find": "find . -type f -exec cp {} '%s' ';'"}


@pytest.mark.parametrize("tool", WALKS)
def test_who_reads_everything_does_not_meet_it(mount, folder, tool):
    """A reader of .mailmount/events would wait there."""
    to = folder / "to"
    to.mkdir()
    done = subprocess.run(["sh", "-c", WALKS[tool] % to], cwd=mount.path, timeout=SLOW,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    found = {name for _, below, names in os.walk(to) for name in (*below, *names)}
    assert found and not found & {".mailmount", "events", "control", "status"}


def test_where_it_is_listed(dovecot, user, mounts):
    dovecot.add_user(user)
    mount = mounts(dovecot, user=user, tls="none", options=[*FAR, "control=listed"], writes=True)
    assert ".mailmount" in os.listdir(mount.path)
    done = subprocess.run(["grep", "-r", "--exclude-dir=.mailmount", "number", mount.path],
                          timeout=SLOW, capture_output=True)
    assert done.returncode == 1 and not done.stderr


def test_nobody_waits_for_another(mounted_with):
    """The kernel lets one write at a time into an inode; and a server may take its time."""
    mount = mounted_with(SLOW * 5)
    control = mount.path / ".mailmount/control"
    assert len(os.listdir(mount.path / "INBOX")) == 2
    mount.proxy.stall()
    answers = []
    slow = threading.Thread(target=lambda: answers.append(ask(mount, b"check INBOX\n")))
    slow.start()
    try:
        assert wait_for(lambda: "waiting: 1" in status(mount))
        done = subprocess.run(["sh", "-c", "echo nonsense > '%s'" % control], timeout=SLOW,
                              stderr=subprocess.DEVNULL)
        assert done.returncode != 0 and slow.is_alive() and not answers
        done = subprocess.run(["dd", "of=%s" % control, "conv=notrunc"], input=b"stop INBOX\n",
                              timeout=SLOW, capture_output=True)
        assert done.returncode == 0 and slow.is_alive() and not answers
    finally:
        mount.proxy.resume()
        slow.join(SLOW)
    assert answers == [0]


def test_the_number_stays(mount):
    """Whatever else tells one opening from another: cp compares what it found with what it opened.
    """
    control = mount.path / ".mailmount/control"
    listed = {entry.name: entry.inode() for entry in os.scandir(control.parent)}
    with open(control, "rb") as one, open(control, "rb") as other:
        numbers = {os.stat(control).st_ino, os.fstat(one.fileno()).st_ino,
                   os.fstat(other.fileno()).st_ino, listed["control"]}
        assert len(numbers) == 1
        assert one.read() == other.read() == control.read_bytes()
    copy = mount.folder / "copy"
    assert subprocess.run(["cp", control, copy]).returncode == 0
    assert copy.read_bytes() == control.read_bytes()
