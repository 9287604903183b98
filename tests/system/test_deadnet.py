"""Dead networks: what waits can be interrupted, what is cached is read, and the mount ends at once.

A limit here is a guard against hanging; the times that matter are measured and printed.
"""
import ctypes
import errno
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from lib import mail, scripted, servers
from lib.ending import seconds_to_end
from lib.mount import mounted, wait_for
from lib.servers import process_runs, processes_below

HANG = 60
ENDS_AT_ALL = 10
READERS = 64
LONG = ["timeout=600"]  # nothing here ends by its deadline


def ends(mount, how):
    """It shall within ending.MOST seconds, which tests/bench judges: here it must not hang."""
    took = seconds_to_end(mount, how)
    print("%s: %.2f s" % (how, took))
    assert took < ENDS_AT_ALL


@pytest.fixture(params=["umount", "SIGTERM"])
def how(request):
    return request.param


# ---- ending, whatever the network does

@pytest.fixture
def far(dovecot, user, messages, mounts, through):
    """far(**options): (mount, proxy) of an account with a few messages, INBOX listed."""
    with dovecot.client(user) as client:
        mail.deliver(client, [m for m in messages if m.mailbox == "INBOX"][:6] + [mail.Message(
            "INBOX", mail.attachment("a.bin", mail.noise(3_000_000)), subject="Large")])

    def make(options=LONG, tls="none", **more):
        proxy = through(dovecot) if tls == "none" else through_port(dovecot.imaps_port)
        mount = mounts(dovecot, user=user, port=proxy.port, tls=tls, options=options, writes=True,
                       ca=dovecot.ca, **more)
        os.listdir(mount.path / "INBOX")
        return mount, proxy

    def through_port(port):
        return through(type("Port", (), {"imap_port": port}))
    return make


def test_ends_in_an_idle_that_is_not_answered(far, how):
    mount, proxy = far()
    assert wait_for(lambda: proxy.heard.endswith((b" IDLE\r\n", b"MailboxName))\r\n")))
    proxy.stall()
    ends(mount, how)


def test_ends_amid_a_literal(far, how):
    mount, proxy = far()
    large = mount.message("Large")
    proxy.stall(after=300_000)
    reader = subprocess.Popen(["cat", large], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    before = proxy.traffic().down
    assert wait_for(lambda: proxy.traffic().down - before > 100_000 or not proxy.flow.is_set())
    if how == "umount":  # it is busy as long as it is read
        reader.send_signal(signal.SIGINT)
        reader.wait(HANG)
    ends(mount, how)
    assert reader.wait(HANG) != 0


def test_ends_amid_an_append(far, how):
    mount, proxy = far()
    proxy.stall()
    raw = mail.Message("INBOX", mail.text("new\n")).raw
    writer = subprocess.Popen(["dd", "status=none", "of=%s" % (mount.path / "INBOX/new.eml")],
                              stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    writer.stdin.write(raw)
    writer.stdin.close()
    status = mount.path / ".mailmount/status"
    assert wait_for(lambda: "changes to be sent: 1" in status.read_text())
    if how == "umount":
        writer.send_signal(signal.SIGINT)
        writer.wait(HANG)
    ends(mount, how)
    writer.wait(HANG)
    proxy.resume()
    proxy.cut()
    with mount:  # the journal has kept it
        assert wait_for(lambda: "changes to be sent: 0" in status.read_text())
        assert wait_for(lambda: [n for n in os.listdir(mount.path / "INBOX") if n.endswith(".eml") and "A message" in n])
        mount.unmount()


def test_ends_with_changes_that_wait(far, how):
    mount, proxy = far()
    names = sorted(os.listdir(mount.path / "INBOX"))
    os.listdir(mount.path / "Trash")
    proxy.stall()
    for name in names:
        if name.endswith(".eml"):
            os.rename(mount.path / "INBOX" / name, mount.path / "Trash" / name)
    ends(mount, how)
    proxy.resume()
    proxy.cut()
    with mount:
        assert wait_for(lambda: "changes to be sent: 0" in
                        (mount.path / ".mailmount/status").read_text())
        assert not [n for n in os.listdir(mount.path / "INBOX") if n.endswith(".eml")]
        mount.unmount()


@pytest.mark.parametrize("where", ["connect", "greeting", "handshake", "login"])
def test_ends_while_it_signs_in_anew(far, how, where):
    """The connections are lost, and the next stops at this."""
    mount, proxy = far(tls="implicit" if where == "handshake" else "none")
    before = proxy.traffic()
    if where == "connect":
        proxy.go_away()
        with backlog(proxy.port):
            poke(mount)
            ends(mount, how)
        return
    proxy.stall(after={"greeting": 1, "handshake": 1, "login": 200}[where])
    proxy.cut()
    poke(mount)
    assert wait_for(lambda: proxy.traffic().connections > before.connections)
    ends(mount, how)


def poke(mount):
    """Somebody wants something, so that it connects."""
    subprocess.Popen(["timeout", "-s", "INT", "1", "ls", "-f", mount.path / "Drafts"],
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait(HANG)


class backlog:
    """A port at which a connection is never made: those that nobody takes fill its queue."""

    def __init__(self, port):
        self.port = port

    def __enter__(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(0)
        self.waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", self.port))
            self.waiting.append(one)

    def __exit__(self, *exception):
        for one in [self.listener, *self.waiting]:
            one.close()


# ---- reading

def test_stalled_readers_and_cached_reads(far, dovecot, user):
    """What 64 readers that wait, each for a message of its own, cost those who read from the cache:
    printed, not judged."""
    with dovecot.client(user) as client:
        mail.deliver(client, [mail.Message("Far", mail.text("x" * 70 * 1000), subject="No %d." % i)
                              for i in range(READERS)])
    mount, proxy = far()
    cached = [mount.path / "INBOX" / n for n in sorted(os.listdir(mount.path / "INBOX"))
              if n.endswith(".eml") and "Large" not in n]
    wanted = {path: path.read_bytes() for path in cached}

    def rate():
        count, until = 0, time.monotonic() + 2
        while time.monotonic() < until:
            path = cached[count % len(cached)]
            fd = os.open(path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            got = os.read(fd, 1 << 20)
            os.close(fd)
            assert got == wanted[path]
            count += 1
        return count / 2
    free = rate()
    distant = [mount.message("No %d." % i, "Far") for i in range(READERS)]
    proxy.stall()
    readers = [subprocess.Popen(["cat", path], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) for path in distant]
    try:
        time.sleep(1)
        assert all(reader.poll() is None for reader in readers)
        found = []
        thread = threading.Thread(target=lambda: found.append(rate()), daemon=True)
        thread.start()
        thread.join(HANG)
        assert found, "cached reads hang"
        print("cached reads: %.0f/s alone, %.0f/s beside %d that wait (%.2f)" % (
            free, found[0], READERS, found[0] / free))
        started = time.monotonic()
        for reader in readers:
            reader.send_signal(signal.SIGINT)
        assert all(reader.wait(HANG) == -signal.SIGINT for reader in readers)
        print("all interrupted after %.2f s" % (time.monotonic() - started))
    finally:
        for reader in readers:
            reader.kill()
            reader.wait(HANG)
    proxy.resume()
    proxy.cut()


class Stopped:
    """A mount on a server that is stopped, and goes on."""

    def __init__(self, server, user, letters, mounts):
        server.add_user(user)
        with server.client(user) as client:
            mail.deliver(client, letters)
        self.letters = letters
        self.mount = mounts(server, user=user, tls="none", options=["timeout=2"], writes=True)
        self.first, self.second = self.mount.message("Quarterly"), self.mount.message("Lunch")
        assert self.first.read_bytes() == letters[0].raw
        self.pids = [p for p in processes_below(server.process.pid) if process_runs(p)]

    def send(self, number):
        for pid in self.pids:
            os.kill(pid, number)

    def check_stopped(self):
        with pytest.raises(OSError) as problem:
            self.second.read_bytes()
        assert problem.value.errno in (errno.ETIMEDOUT, errno.ENETUNREACH)
        assert self.first.read_bytes() == self.letters[0].raw

    def check_again(self):
        assert wait_for(lambda: readable(self.second)) == self.letters[1].raw
        inbox = self.mount.path / "INBOX"
        (inbox / "new.eml").write_bytes(mail.Message(
            "INBOX", mail.text("new\n"), subject="written after").raw)
        assert wait_for(lambda: any("written after" in n for n in os.listdir(inbox)))
        self.mount.unmount()


def test_servers_that_are_stopped(messages, mounts, user):
    """SIGSTOP for longer than the deadline, and on again: all goes on. MAILMOUNT_TEST_STOP: for so
    many seconds."""
    letters = [m for m in messages if m.mailbox == "INBOX"][:6]
    with servers.Dovecot() as dovecot, servers.Cyrus() as cyrus:
        both = [Stopped(server, user, letters, mounts) for server in (dovecot, cyrus)]
        try:
            for each in both:
                each.send(signal.SIGSTOP)
            for each in both:
                each.check_stopped()
            time.sleep(float(os.environ.get("MAILMOUNT_TEST_STOP", 4)))
        finally:
            for each in both:
                each.send(signal.SIGCONT)
        for each in both:
            each.check_again()


def readable(path):
    try:
        return path.read_bytes()
    except OSError:
        return None


# ---- a cable that is pulled

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
NEAR, FAR = "10.213.7.1", "10.213.7.2"


class Distant(scripted.Scripted):
    """In another network namespace: that of process `pid`."""

    def __init__(self, pid, *arguments):
        super().__init__(*arguments)
        self.pid = pid

    host = FAR

    def socket_that_listens(self, port):
        def make():  # a socket belongs to the namespace of the thread that makes it
            with open("/proc/%d/ns/net" % self.pid) as namespace:
                assert LIBC.setns(namespace.fileno(), CLONE_NEWNET) == 0
            made.append(super(Distant, self).socket_that_listens(port))
        made = []
        thread = threading.Thread(target=make)
        thread.start()
        thread.join(HANG)
        return made[0]


@pytest.fixture
def cable(messages):
    """(server, pull) at the other end of a pair of interfaces. pull("del") mends it."""
    if os.getuid():
        pytest.skip("only root can make interfaces")
    name = "mm%d" % (os.getpid() % 100000)
    holder = subprocess.Popen(["unshare", "-n", "sleep", "3600"])
    net = ["nsenter", "-t", str(holder.pid), "-n", "ip"]
    own = os.readlink("/proc/self/ns/net")

    def pull(how="add"):
        """What the far end sends is lost, and nobody says so."""
        subprocess.run([*net, "route", how, "blackhole", NEAR], check=True)
    try:
        assert wait_for(lambda: os.readlink("/proc/%d/ns/net" % holder.pid) != own)
        if subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", name + "p",
                           "netns", str(holder.pid)], capture_output=True).returncode:
            pytest.skip("interfaces cannot be made here")
        for command in (["ip", "addr", "add", NEAR + "/30", "dev", name],
                        ["ip", "link", "set", name, "up"],
                        [*net, "addr", "add", FAR + "/30", "dev", name + "p"],
                        [*net, "link", "set", name + "p", "up"]):
            subprocess.run(command, check=True)
        with Distant(holder.pid, {"INBOX": messages[:3]}) as server:
            yield server, pull
    finally:
        subprocess.run(["ip", "link", "del", name], capture_output=True)
        holder.kill()
        holder.wait()


def test_a_pulled_cable(cable, mounts, messages):
    """Amid a read: the deadline comes, and mended it reads on."""
    server, pull = cable
    mount = mounts(source="imap://alice@%s:%d" % (FAR, server.port), tls="none",
                   options=["timeout=3"])
    lunch, last = mount.message("Lunch"), mount.message("Quarterly")
    pull()
    reader = subprocess.Popen(["cat", lunch], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    started = time.monotonic()
    with pytest.raises(OSError) as problem:
        last.read_bytes()
    assert problem.value.errno == errno.ETIMEDOUT
    print("ETIMEDOUT after %.2f s" % (time.monotonic() - started))
    assert reader.wait(HANG) == 1
    pull("del")
    assert wait_for(lambda: readable(lunch)) == messages[1].raw
    assert readable(last) == messages[0].raw
    pull()
    ends(mount, "SIGTERM")
    pull("del")


def test_ctrl_c_without_a_cable(cable, mounts, messages):
    """It frees a reader whose deadline is far, and what he wanted is there when it is mended."""
    server, pull = cable
    mount = mounts(source="imap://alice@%s:%d" % (FAR, server.port), tls="none", options=LONG)
    lunch = mount.message("Lunch")
    pull()
    before = len(server.commands)
    reader = subprocess.Popen(["cat", lunch], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert wait_for(lambda: len(server.commands) > before)  # the answer is lost
    reader.send_signal(signal.SIGINT)
    assert reader.wait(HANG) == -signal.SIGINT
    assert mount.path.is_dir() and os.listdir(mount.path / "INBOX")
    pull("del")
    assert wait_for(lambda: readable(lunch)) == messages[1].raw
    ends(mount, "SIGTERM")
