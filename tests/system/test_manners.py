"""Manners: waits that end, mounts that go away, nothing that a stranger can read."""
import base64
import errno
import os
import signal
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from lib import scripted
from lib.mount import BINARY, mounted, wait_for
from lib.servers import process_runs

# An interrupted call answers "at once"; a wait that ignores signals lasts until `timeout=`, which
# these tests set far beyond this.
HANG = 60


@pytest.fixture
def stalled(dovecot_sample, through, mounts):
    """A mount with its folder listed, on a server that has stopped to answer."""
    proxy = through(dovecot_sample)
    mount = mounts(dovecot_sample, port=proxy.port, tls="none", options=["timeout=600"])
    os.listdir(mount.path / "INBOX")
    mount.message("Quarterly").read_bytes()
    yield mount, proxy
    proxy.resume()
    proxy.cut()


def start_reader(path, command=("cat",)):
    process = subprocess.Popen([*command, path], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    wait_for(lambda: waits_in_fuse(process.pid), 20)
    return process


def waits_in_fuse(pid):
    """Whether it sleeps in a request to the mount."""
    try:
        where = Path("/proc/%d/wchan" % pid).read_text()
        return "fuse" in where or where == "request_wait_answer"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("what", ["message", "part", "directory", "folder"])
def test_a_signal_ends_a_stalled_read(stalled, what, number):
    mount, proxy = stalled
    message = mount.message("Signed")
    target = {"message": message, "part": message.with_suffix("") / "body.txt",
              "directory": message.with_suffix(""), "folder": mount.path / "Projekte/Grün"}[what]
    if what == "part":
        os.listdir(message.with_suffix(""))
    proxy.stall()
    reader = start_reader(target, ["ls", "-f"] if what in ("directory", "folder") else ["cat"])
    time.sleep(0.2)
    assert reader.poll() is None, "it did not wait"
    reader.send_signal(number)
    assert reader.wait(HANG) == -number


def test_signals_that_kill_nobody_do_not_end_a_read(stalled, messages):
    """A reader with timers (as Go's runtime has) still gets its bytes."""
    mount, proxy = stalled
    message = mount.message("Signed")
    proxy.stall()
    code = ("import signal, sys\n"
            "signal.signal(signal.SIGALRM, lambda *_: None)\n"
            "signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)\n"
            "sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())\n"
            "signal.setitimer(signal.ITIMER_REAL, 0)\n")
    reader = subprocess.Popen(["/usr/bin/python3", "-c", code, message], stdout=subprocess.PIPE)
    time.sleep(1)
    assert reader.poll() is None
    proxy.resume()
    out, _ = reader.communicate(timeout=HANG)
    assert reader.returncode == 0
    assert out == next(m for m in messages if m.subject == "Signed").raw


def test_a_deadline_ends_a_stalled_read(dovecot_sample, through, mounts):
    proxy = through(dovecot_sample)
    mount = mounts(dovecot_sample, port=proxy.port, tls="none", options=["timeout=2"])
    message = mount.message("Signed")
    proxy.stall()
    with pytest.raises(OSError) as problem:
        message.read_bytes()
    assert problem.value.errno == errno.ETIMEDOUT
    proxy.resume()


def test_a_server_that_stops_within_a_body(mounts, messages):
    with scripted.Scripted({"INBOX": messages[:3]}) as server:
        mount = mounts(server, options=["timeout=2"])
        path = mount.message("Lunch")
        server.flaws["hang_after"] = 20
        with pytest.raises(OSError) as problem:
            path.read_bytes()
        assert problem.value.errno == errno.ETIMEDOUT
        del server.flaws["hang_after"]
        assert wait_for(lambda: readable(path)) == messages[1].raw
        mount.unmount()


def test_a_server_that_goes_away_within_a_body(mounts, messages):
    with scripted.Scripted({"INBOX": messages[:3]}) as server:
        mount = mounts(server, options=["timeout=5"])
        path = mount.message("Lunch")
        server.flaws["cut_after"] = 20
        with pytest.raises(OSError) as problem:
            path.read_bytes()
        assert problem.value.errno == errno.EIO
        del server.flaws["cut_after"]
        assert wait_for(lambda: readable(path)) == messages[1].raw
        mount.unmount()


def readable(path):
    try:
        return path.read_bytes()
    except OSError:
        return None


def test_stalled_readers_hold_back_no_cached_read(stalled, messages):
    mount, proxy = stalled
    cached = mount.message("Quarterly")
    cold = [mount.path / "INBOX" / e for e in sorted(os.listdir(mount.path / "INBOX"))
            if e.endswith("].eml") and "Quarterly" not in e]
    proxy.stall()
    readers = [subprocess.Popen(["cat", cold[n % len(cold)]], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) for n in range(64)]
    try:
        time.sleep(1)
        assert all(r.poll() is None for r in readers)
        got = []
        # a thread, so that a read that hangs fails the test instead of hanging it
        thread = threading.Thread(target=lambda: got.append(cached.read_bytes()), daemon=True)
        thread.start()
        thread.join(HANG)
        assert got == [messages[0].raw]
        os.stat(cached)
        os.statvfs(mount.path)
        assert "localhost" in (mount.path / ".mailmount/status").read_text()
    finally:
        for reader in readers:
            reader.kill()
        for reader in readers:
            reader.wait(HANG)


# ---- going away

def test_a_signal_unmounts_while_readers_wait(stalled):
    mount, proxy = stalled
    message = mount.message("Signed")
    proxy.stall()
    readers = [start_reader(message) for _ in range(5)]
    os.kill(mount.worker(), signal.SIGTERM)
    assert all(reader.wait(HANG) != 0 for reader in readers)
    assert wait_for(lambda: not mounted(mount.path))
    assert wait_for(lambda: not mount.processes())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_unmounts(dovecot_sample, mounts, number):
    mount = mounts(dovecot_sample)
    worker = mount.worker()
    for pid in mount.processes():
        if pid != worker:
            os.kill(pid, number)
    assert wait_for(lambda: not mounted(mount.path))
    assert wait_for(lambda: not mount.processes())


def test_a_signal_to_the_worker_unmounts(dovecot_sample, mounts):
    mount = mounts(dovecot_sample)
    os.kill(mount.worker(), signal.SIGTERM)
    assert wait_for(lambda: not mounted(mount.path))
    assert wait_for(lambda: not mount.processes())


def test_a_signal_in_the_foreground(dovecot_sample, mounts):
    mount = mounts(dovecot_sample, start=False)
    assert mount.start_in_foreground().returncode == 0
    assert mounted(mount.path)
    mount.process.send_signal(signal.SIGINT)
    assert mount.process.wait(HANG) == 0
    assert not mounted(mount.path)
    assert wait_for(lambda: not mount.processes())


def test_a_killed_worker_leaves_no_mount(dovecot_sample, mounts):
    mount = mounts(dovecot_sample)
    os.kill(mount.worker(), signal.SIGKILL)
    assert wait_for(lambda: not mounted(mount.path))
    assert wait_for(lambda: not mount.processes())
    with mount:
        assert os.listdir(mount.path / "INBOX")


def test_a_killed_supervisor_takes_the_worker_along(dovecot_sample, mounts):
    mount = mounts(dovecot_sample)
    worker = mount.worker()
    for pid in mount.processes():
        if pid != worker:
            os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: not process_runs(worker))


def test_a_dead_mount_is_cleaned_up(dovecot_sample, mounts):
    mount = mounts(dovecot_sample)
    for pid in sorted(mount.processes(), key=lambda pid: pid == mount.worker()):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not mount.processes())
    with mount:
        assert os.listdir(mount.path / "INBOX")


def test_a_second_mount_is_refused(dovecot_sample, mounts):
    mount = mounts(dovecot_sample)
    again = mounts(dovecot_sample, start=False)
    again.environment["HOME"] = str(mount.folder)
    done = again.run()
    assert done.returncode == 5
    assert len(done.stderr.strip().splitlines()) == 1
    assert str(mount.path) in done.stderr
    assert os.listdir(mount.path / "INBOX")


def test_a_second_mount_on_one_that_hangs(dovecot_sample, mounts):
    """What is mounted there is stopped: who starts another hears of it, and does not hang too."""
    mount = mounts(dovecot_sample)
    worker = mount.worker()
    os.kill(worker, signal.SIGSTOP)
    try:
        again = mounts(dovecot_sample, start=False)
        again.path = mount.path
        done = again.run()
    finally:
        os.kill(worker, signal.SIGCONT)
        again.path = again.folder / "mail"
    assert done.returncode == 5
    assert len(done.stderr.strip().splitlines()) == 1
    assert str(mount.path) in done.stderr and "does not answer" in done.stderr
    assert os.listdir(mount.path / "INBOX")


def test_unmounting_again_and_again(dovecot_sample, mounts):
    mount = mounts(dovecot_sample)
    for _ in range(5):
        mount.unmount()
        mount.__enter__()
        assert len(os.listdir(mount.path / "INBOX")) == 58


# ---- who may see what

def test_mount_options(dovecot_sample, mounts):
    mount = mounts(dovecot_sample, options=["suid,dev"])
    words = mounted(mount.path).split()
    assert {"nosuid", "nodev"} <= set(words[5].split(","))
    assert "fuse.mailmount" in words
    assert "imaps://alice@localhost:%d" % dovecot_sample.imaps_port in words


INJECTIONS = ["alice,allow_other", "alice,fsname=x,suid", "alice\\,dev", "a b", "al%69ce"]


@pytest.mark.parametrize("user", INJECTIONS)
def test_no_option_can_be_injected(mounts, messages, user):
    written = "".join("%%%02X" % b for b in user.encode())
    with scripted.Scripted({"INBOX": messages[:1]}) as server:
        mount = mounts(server, source="imap://%s@localhost:%d" % (written, server.port))
        words = mounted(mount.path).split()
        options = set(words[5].split(",")) | set(words[-1].split(","))
        assert {"nosuid", "nodev"} <= options
        assert not options & {"allow_other", "suid", "dev", "fsname=x"}
        assert len(os.listdir(mount.path / "INBOX")) == 2
        mount.unmount()


def test_what_is_stored_is_private(dovecot_sample, mounts, messages):
    mount = mounts(dovecot_sample, start=False)
    old = os.umask(0)
    try:
        mount.__enter__()
    finally:
        os.umask(old)
    mount.message("Quarterly").read_bytes()
    found = 0
    for top in (mount.folder / ".cache", mount.folder / ".local"):
        for folder, _, files in os.walk(top):
            if "mailmount" not in folder:
                continue
            assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700, folder
            for name in files:
                path = os.path.join(folder, name)
                assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, path
                found += 1
    assert found


def test_the_secret_shows_nowhere(dovecot, user, mounts, messages):
    """Not in arguments, environment, log, transcript, status or the cache."""
    secret = b"secret"  # what the server takes; nothing else here has this word
    with dovecot.client(user) as client:
        client.append(b"INBOX", messages[1].raw)
    mount = mounts(dovecot, start=False, user=user)
    mount.secret.rename(mount.folder / "pw")
    mount.secret = mount.folder / "pw"
    mount.arguments = [a.replace("/password", "/pw") for a in mount.arguments]
    assert mount.start_in_foreground(["-d"]).returncode == 0
    mount.message("Lunch").read_bytes()
    (mount.parts("Lunch") / "body.txt").read_bytes()
    for pid in mount.processes():
        for name in ("cmdline", "environ"):
            assert secret not in Path("/proc/%d/%s" % (pid, name)).read_bytes(), name
    assert secret not in (mount.path / ".mailmount/status").read_bytes()
    mount.unmount()
    log = mount.log.read_bytes()
    assert b"LOGIN" in log or b"AUTHENTICATE" in log
    forms = [base64.b64encode(b"\0%s\0secret" % user.encode()), base64.b64encode(b"secret")]
    for form in forms:
        assert form.rstrip(b"=") not in log
    assert b"secret" not in log.replace(b"<secret>", b"")
    for file in (mount.folder / ".cache").rglob("*"):
        if file.is_file():
            assert secret not in file.read_bytes(), file


def test_no_core_and_no_debugger(dovecot_sample, mounts):
    """No core file holds a secret. A process that is not dumpable belongs to root in /proc; the
    leak checker of a sanitized build needs it to be."""
    mount = mounts(dovecot_sample)
    sanitized = any(word in BINARY.read_bytes() for word in (b"__asan_init", b"__tsan_init"))
    worker = mount.worker()
    limits = Path("/proc/%d/limits" % worker).read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    if os.getuid() and not sanitized:
        assert os.stat("/proc/%d/environ" % worker).st_uid == 0


def test_busy_mounts_say_so(dovecot_sample, mounts):
    mount = mounts(dovecot_sample)
    umount = ["fusermount3", "-u"] if os.getuid() else ["umount"]
    with open(mount.message("Quarterly"), "rb"):
        assert subprocess.run([*umount, mount.path], capture_output=True).returncode != 0
    assert mount.message("Quarterly").read_bytes()


def test_an_interrupted_start(dovecot_sample, through, mounts):
    """Ctrl-C while it still signs in."""
    proxy = through(dovecot_sample)
    proxy.stall()
    mount = mounts(dovecot_sample, start=False, port=proxy.port, tls="none")
    process = subprocess.Popen(mount.command, env=mount.environment, stdin=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(HANG) != 0
    assert wait_for(lambda: not mount.processes())
    assert not mounted(mount.path)
