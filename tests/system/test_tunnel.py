"""tunnel_command: the connection is a command's standard input and output."""
import os
import re
import shlex
import signal
import socket
import subprocess
import sys

import pytest

from lib import mail, servers
from lib.mount import BINARY, SLOW, mounted, wait_for
from lib.servers import process_runs

NETWORK = 3

RELAY = """
import os, socket, sys, threading
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def up():
    while data := os.read(0, 65536):
        peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := peer.recv(65536):
    while data:
        data = data[os.write(1, data):]
"""


class Tunnel:
    """A command that notes its process ids, and its open files, in `folder`."""

    def __init__(self, folder, command):
        self.noted, self.files, self.broken = folder / "pids", folder / "fds", folder / "broken"
        (folder / "command").write_text(
            "echo $$ >> %s\nfor fd in /proc/$$/fd/*; do readlink $fd; done > %s\n"
            "test -e %s && exec sleep 1000\n%s\n" % (self.noted, self.files, self.broken, command))
        self.option = "tunnel_command=. %s/command" % folder

    def pids(self):
        if not self.noted.exists():
            return []
        return [int(line) for line in self.noted.read_text().split()]

    def running(self):
        return [pid for pid in self.pids() if process_runs(pid)]


@pytest.fixture
def tunnel(folder, mounts):
    """tunnel(command); all that it started must end with the mount."""
    made = []

    def make(command):
        made.append(Tunnel(folder, command))
        return made[0]
    yield make
    mounts.finish()
    for one in made:
        assert wait_for(lambda: not one.running()), "left behind: %s" % one.running()


def relay(port):
    return "exec %s" % shlex.join([sys.executable, "-c", RELAY, str(port)])


def fill(dovecot, user, messages):
    with dovecot.client(user) as client:
        mail.deliver(client, [m for m in messages if m.mailbox == "INBOX"][:3])


def subjects(mount):
    return sorted(name for name in os.listdir(mount.path / "INBOX") if name.endswith(".eml"))


# ---- what works

def test_imapd_by_itself(dovecot, user, messages, mounts, tunnel):
    """Dovecot's imap, which signs in unasked: no password is asked for, all of it works."""
    fill(dovecot, user, messages)
    made = tunnel(dovecot.imapd(user))
    mount = mounts(source="imap://%s@mail.example" % user, options=[made.option],
                   password=None, writes=True)
    names = subjects(mount)
    assert len(names) == 3
    raw = (mount.path / "INBOX" / names[0]).read_bytes()
    with dovecot.client(user) as client:
        assert raw in dict(client.bodies(b"INBOX")).values()
    (mount.path / "Drafts" / "new.eml").write_bytes(raw)
    with dovecot.client(user) as client:
        assert wait_for(lambda: raw in dict(client.bodies(b"Drafts")).values())
    assert not mount.report()


def test_nothing_leaks_into_it(dovecot, user, mounts, tunnel):
    made = tunnel(dovecot.imapd(user))
    mount = mounts(source="imap://%s@mail.example" % user, options=[made.option])
    os.listdir(mount.path / "INBOX")
    opened = made.files.read_text().split("\n")
    assert not [f for f in opened if f and not f.startswith(("socket:", "pipe:"))
                and not f.endswith(("/command", "/fds"))], opened
    assert len([f for f in opened if f.startswith("socket:")]) <= 2, opened


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
def test_relay(dovecot, user, messages, mounts, tunnel, tls):
    """To a server that wants a password, and with TLS within."""
    fill(dovecot, user, messages)
    port = dovecot.imaps_port if tls == "implicit" else dovecot.imap_port
    made = tunnel(relay(port))
    options = [made.option, "tls_ca=%s" % dovecot.ca]
    if tls == "starttls":
        options.append("tls=starttls")
    mount = mounts(source="%s://%s@localhost" % (
        "imaps" if tls == "implicit" else "imap", user), options=options)
    assert len(subjects(mount)) == 3


def test_check(dovecot, user, mounts, tunnel):
    made = tunnel(dovecot.imapd(user))
    mount = mounts(source="imap://%s@mail.example" % user, options=[made.option], start=False)
    done = subprocess.run([BINARY, *mount.arguments, "--check", mount.source],
                          env=mount.environment, capture_output=True, text=True, timeout=SLOW,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tunnel_command" in done.stdout and "PREAUTH" in done.stdout, done.stdout


# ---- what goes wrong

def test_it_dies_and_comes_back(dovecot, user, messages, mounts, tunnel):
    fill(dovecot, user, messages)
    made = tunnel(dovecot.imapd(user))
    mount = mounts(source="imap://%s@mail.example" % user, options=[made.option, "poll=5"],
                   writes=True)
    assert len(subjects(mount)) == 3
    before = made.pids()
    for pid in made.running():
        os.kill(pid, signal.SIGKILL)
    with dovecot.client(user) as client:
        mail.deliver(client, [m for m in messages if m.mailbox == "INBOX"][3:4])
    assert wait_for(lambda: len(subjects(mount)) == 4)
    assert len(made.pids()) > len(before)


def test_it_hangs_when_it_comes_back(dovecot, user, messages, mounts, tunnel):
    """What is cached is read all the same, and the mount ends."""
    fill(dovecot, user, messages)
    made = tunnel(dovecot.imapd(user))
    mount = mounts(source="imap://%s@mail.example" % user,
                   options=[made.option, "poll=5", "timeout=3"])
    first = mount.path / "INBOX" / subjects(mount)[0]
    raw = first.read_bytes()
    before = len(made.pids())
    made.broken.touch()
    for pid in made.running():
        os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: len(made.pids()) >= before + 2), "it is not tried again"
    assert first.read_bytes() == raw and len(subjects(mount)) == 3


def test_it_ends_with_a_worker_that_is_killed(dovecot, user, mounts, tunnel):
    made = tunnel(dovecot.imapd(user))
    mount = mounts(source="imap://%s@mail.example" % user, options=[made.option])
    os.listdir(mount.path / "INBOX")
    mount.kill()
    assert wait_for(lambda: not made.running()), made.running()


def test_it_ends_though_it_heeds_nothing(mounts, tunnel):
    """Neither SIGTERM nor the end of its connection, nor does what it has started."""
    made = tunnel("trap '' TERM HUP PIPE; sleep 1000")
    mount = mounts(start=False, options=["timeout=2", made.option], source="imap://alice@mail",
                   tls="none")
    assert mount.run().returncode == NETWORK
    for group in made.pids():
        assert wait_for(lambda: not group_lives(group)), group


def group_lives(group):
    try:
        os.killpg(group, 0)
        return True
    except ProcessLookupError:
        return False


@pytest.mark.parametrize("command,words", [
    ("echo 'no route to mars' >&2; exit 7", "tunnel_command ended with status 7: no route to mars"),
    ("exec sleep 1000", "does not answer"),
    ("/nonexistent", "tunnel_command ended with status 127"),
    ("printf '* BYE closed today\\r\\n'; exec cat", "closed today"),
    ("echo hello; exec cat", 'does not speak IMAP through tunnel_command: it says "hello"'),
])
def test_it_fails(mounts, tunnel, command, words):
    made = tunnel(command)
    mount = mounts(source="imap://alice@mail.example", options=[made.option, "timeout=2"],
                   start=False)
    done = mount.run()
    assert done.returncode == NETWORK and not mounted(mount.path), done.stderr
    assert re.search(words, done.stderr), done.stderr
    assert "secret" not in done.stderr


def other_addresses():
    """Of this machine, but for the loopback."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        return []
    return sorted({a[4][0] for a in found if not a[4][0].startswith("127.")})


# where there is none, test_proxy.py still has PREAUTH from elsewhere
if ELSEWHERE := other_addresses():
    def test_preauth_on_a_plain_line(mounts):
        """Taken from this machine, since nobody is between, and refused from elsewhere."""
        with socket.create_server((ELSEWHERE[0], 0)) as listener:
            mount = mounts(source="imap://alice@%s:%d" % (ELSEWHERE[0], listener.getsockname()[1]),
                           options=["tls=none"], start=False, password=servers.PASSWORD)
            running = subprocess.Popen(mount.command, env=mount.environment, stdin=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"* PREAUTH [CAPABILITY IMAP4rev1] come in\r\n")
                _, stderr = running.communicate(timeout=SLOW)
                assert running.returncode == NETWORK and "PREAUTH" in stderr, stderr
                assert connection.recv(1000) == b""
