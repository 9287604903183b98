"""Where passwords and tokens come from, when they are asked for, and where they are not left."""
import contextlib
import errno
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from lib import scripted
from lib.mount import BINARY, SLOW, mounted, wait_for
from lib.remains import mappings, remains
from lib.typist import Typist

IDLE = ["poll=3600"]
PASSWORD = "correct horse battery staple 7319"


def letter(number):
    return (b"From: Alice <alice@example.org>\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
            b"Subject: number %d.\r\nMessage-ID: <s%d@example.org>\r\n\r\nbody\r\n"
            % (number, number))


@pytest.fixture
def letters():
    with scripted.Scripted({"INBOX": [letter(1), letter(2)]}, password=PASSWORD) as server:
        yield server


def attempts(server):
    return len(server.sent("^(LOGIN|AUTHENTICATE)"))


def status(mount):
    return (mount.path / ".mailmount/status").read_text()


def outcome(path):
    """What reading gives: bytes, or an errno."""
    try:
        return path.read_bytes()
    except OSError as problem:
        return problem.errno


def put(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


# ---- sources

def test_password_file(mounts, letters, folder):
    mount = mounts(letters, password=None,
                   options=["password_file=%s" % put(folder / "pw", PASSWORD + "\nmore\n")])
    assert outcome(mount.message("number 1.")) == letter(1)


def test_netrc(mounts, letters, folder):
    """The one in the home folder needs not be named; one that is named comes first."""
    entry = 'machine localhost login alice password "%s"\n'
    mount = mounts(letters, password=None, start=False)
    put(mount.folder / ".netrc", "machine other login alice password x\n" + entry % PASSWORD)
    with mount:
        assert outcome(mount.message("number 1.")) == letter(1)
    put(mount.folder / ".netrc", entry % "wrong")
    mount.arguments += ["-o", "netrc=%s" % put(folder / "netrc", entry % PASSWORD)]
    with mount:
        assert outcome(mount.message("number 1.")) == letter(1)


def test_credential(mounts, letters, folder):
    put(folder / "alice@localhost", PASSWORD, 0o400)
    mount = mounts(letters, password=None, environment={"CREDENTIALS_DIRECTORY": str(folder)})
    assert outcome(mount.message("number 1.")) == letter(1)


@pytest.mark.parametrize("source", ["password_file", "netrc"])
def test_a_file_that_others_may_read(mounts, letters, folder, source):
    """One line says what to do; the server hears nothing."""
    path = put(folder / "file", "machine localhost password %s\n" % PASSWORD, 0o644)
    done = mounts(letters, password=None, start=False, options=["%s=%s" % (source, path)]).run()
    assert done.returncode == 4
    assert done.stderr == "mailmount: %s %s: open to other users; chmod 600 it\n" % (source, path)
    assert letters.commands == []


def test_nobody_to_ask(mounts, letters):
    done = mounts(letters, password=None, start=False, environment={"HOME": "/nonexistent"}).run()
    assert done.returncode == 4 and done.stderr.count("\n") == 1
    assert "set password_command=" in done.stderr


def test_two_commands(mounts, letters):
    done = mounts(letters, start=False, options=["token_command=echo x"]).run()
    assert done.returncode == 2 and "exclude each other" in done.stderr
    assert done.stderr.count("\n") == 1 and letters.commands == []


@pytest.mark.parametrize("said", ["password_command=cat '%s'", "password_file=%s"])
def test_the_command_line_beats_the_file(mounts, letters, folder, said):
    file = put(folder / "mailmount.conf", "[a]\nsource = imap://alice@localhost:%d\ntls = none\n"
               "password_command = echo wrong\n" % letters.port)
    mount = mounts(start=False, source="a")
    mount.arguments = ["-o", "config=%s" % file, "-o", said % put(folder / "pw", PASSWORD + "\n")]
    with mount:
        assert outcome(mount.message("number 1.")) == letter(1)
    assert attempts(letters) > 0


# ---- the prompt

@pytest.mark.parametrize("arguments", [[], ["-f"]], ids=["background", "foreground"])
def test_prompt(mounts, letters, arguments):
    mount = mounts(letters, password=None, start=False, arguments=arguments)
    typist = Typist(mount)
    typist.expect(b"Password of alice at localhost: ")
    assert not typist.echoes()
    typist.type(PASSWORD.encode() + b"\n")
    assert wait_for(lambda: mounted(mount.path)), typist.look()
    assert typist.echoes()
    if not arguments:
        assert typist.end() == 0
    assert outcome(mount.message("number 1.")) == letter(1)
    assert PASSWORD.split()[0].encode() not in typist.look()
    mount.unmount()
    if arguments:
        assert typist.end() == 0


@pytest.mark.parametrize("arguments", [[], ["-f"]], ids=["background", "foreground"])
@pytest.mark.parametrize("how", ["interrupt", "hang up", "end", "nothing"])
def test_prompt_without_an_answer(mounts, letters, arguments, how):
    """The terminal is as it was, nothing stays, and the server heard nothing."""
    mount = mounts(letters, password=None, start=False, arguments=arguments)
    typist = Typist(mount)
    typist.expect(b"Password of alice at localhost: ")
    typist.type(b"corr")
    if how == "hang up":
        os.kill(typist.pid, signal.SIGHUP)
    else:
        typist.type({"interrupt": b"\x03", "end": b"\x04\x04", "nothing": b"\x15\n"}[how])
    ended = typist.end()
    assert wait_for(lambda: not mount.processes())
    assert ended == 4 or (how in ("interrupt", "hang up") and ended in (
        -signal.SIGINT, -signal.SIGHUP))
    assert typist.echoes()
    assert b"corr" not in typist.look() and not mounted(mount.path)
    assert attempts(letters) == 0


# ---- refused

def run_retry(*arguments):
    return subprocess.run([BINARY, "--retry", *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=SLOW)


def test_retry(mounts, letters):
    """A refusal ends all attempts; --retry makes one, and says how it went."""
    mount = mounts(letters, options=IDLE, password=PASSWORD)
    paths = [mount.message("number %d." % n) for n in (1, 2)]
    assert outcome(paths[0]) == letter(1)
    letters.password = "other"
    before = attempts(letters)
    letters.cut()
    assert wait_for(lambda: "sign-in refused: " in status(mount))
    line = re.search("^sign-in refused: .*$", status(mount), re.M)[0]
    assert "wrong user or password" in line and (
        "; mailmount --retry %s tries again" % mount.path) in line
    assert PASSWORD not in status(mount)
    for _ in range(20):
        assert outcome(paths[1]) == errno.EACCES and outcome(paths[0]) == letter(1)
    assert attempts(letters) - before == 1

    done = run_retry(mount.path)
    assert done.returncode == 4 and done.stdout == ""
    assert done.stderr.startswith("mailmount: %s: signing in failed: " % mount.path)
    assert "wrong user or password" in done.stderr and done.stderr.count("\n") == 1
    assert attempts(letters) - before == 2
    mount.secret.write_text("other\n")
    done = run_retry(mount.path / "INBOX")
    assert (done.returncode, done.stdout, done.stderr) == (
        0, "%s: signed in\n" % mount.path, "")
    assert attempts(letters) - before >= 3  # and what other connections there are
    assert outcome(paths[1]) == letter(2) and "sign-in refused" not in status(mount)


def test_retry_of_what_is_not_there(folder):
    for arguments in ([folder], [folder / "none"]):
        done = run_retry(*arguments)
        assert done.returncode == 5 and "no mount of mailmount at" in done.stderr
    assert run_retry(folder, folder).returncode == 1
    assert run_retry("-f").returncode == 1


@pytest.mark.skipif(os.getuid(), reason="only root can make a mount namespace")
def test_retry_of_all_mine(mounts, letters):
    """In a mount namespace that shows no others."""
    with scripted.Scripted({"INBOX": []}, password=PASSWORD) as other:
        made = [mounts(server, options=IDLE, password=PASSWORD) for server in (letters, other)]
        hide = "".join("umount -l '%s'; " % line.split()[4]
                       for line in Path("/proc/self/mountinfo").read_text().splitlines()
                       if "fuse.mailmount" in line
                       and line.split()[4] not in [str(m.path) for m in made])
        done = subprocess.run(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", hide + '"$0" --retry',
             BINARY], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SLOW)
        assert done.stdout == "".join("%s: signed in\n" % m.path for m in made), done.stderr
        assert done.returncode == 0


@pytest.mark.parametrize("where", [".", "INBOX"])
def test_retry_of_a_mount_that_hangs(mounts, letters, where):
    mount = mounts(letters, options=IDLE, password=PASSWORD)
    worker = mount.worker()
    os.kill(worker, signal.SIGSTOP)
    try:
        done = run_retry(mount.path / where)
    finally:
        os.kill(worker, signal.SIGCONT)
    assert (done.returncode, done.stdout, done.stderr) == (
        5, "", "mailmount: %s: the mount does not answer; see mailmount(1) for unmounting it\n"
        % mount.path)
    assert run_retry(mount.path / where).returncode == 0


def test_retry_of_a_mount_that_stops_meanwhile(mounts, letters, folder):
    """Not even SIGKILL ends the one who asked it."""
    flag, mark = folder / "hang", folder / "asked"
    mount = mounts(letters, password=None, options=[*IDLE, "password_command=" + (
        "cat %s; if [ -e %s ]; then touch %s; sleep 1000; fi"
        % (put(folder / "pw", PASSWORD + "\n"), flag, mark))])
    flag.touch()
    letters.password = "other"
    letters.cut()
    assert wait_for(mark.exists)
    command = subprocess.Popen([BINARY, "--retry", mount.path], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    worker = mount.worker()
    try:
        assert wait_for(lambda: re.search("^waiting: [1-9]", status(mount), re.M))
        os.kill(worker, signal.SIGSTOP)
        out, said = command.communicate(timeout=SLOW)
        assert command.returncode == 5 and "the mount does not answer" in said, (out, said)
    finally:
        os.kill(worker, signal.SIGCONT)
        flag.unlink()


def test_retry_of_several(mounts, folder):
    """Each that fails says why; each that does not says so."""
    text, third = "", contextlib.ExitStack()
    with third, scripted.Scripted({"INBOX": []}, password=PASSWORD) as first, \
            scripted.Scripted({"INBOX": []}, password=PASSWORD) as second:
        gone = third.enter_context(scripted.Scripted({"INBOX": []}, password=PASSWORD))
        for name, server in (("one", first), ("two", second), ("three", gone)):
            text += "[%s]\nsource = imap://alice@localhost:%d\n%s\npoll = 3600\n" % (
                name, server.port, "tls = none\npassword_file = %s"
                % put(folder / name, PASSWORD + "\n"))
        mount = mounts(start=False, source="all")
        mount.arguments = ["-o", "config=%s" % put(folder / "mailmount.conf", text)]
        with mount:
            assert run_retry(mount.path).stdout == "%s: signed in\n" % mount.path
            first.password = "other"
            first.cut()
            third.close()
            gone.cut()
            assert wait_for(lambda: "sign-in refused: " in status(mount)
                            and status(mount).count("state: offline") == 2)
            done = run_retry(mount.path)
            lines = sorted(done.stderr.splitlines())
            assert (done.returncode, len(lines)) == (4, 2), done.stderr
            assert done.stdout == "%s/two: signed in\n" % mount.path
            assert lines[0].startswith("mailmount: %s/one: signing in failed: " % mount.path)
            assert "wrong user or password" in lines[0]
            assert lines[1].startswith("mailmount: %s/three: the server cannot be reached: "
                                       % mount.path)


def test_typed_password_is_refused(mounts, letters):
    """Nobody can be asked for another: the same is tried when the user says so, and not before."""
    mount = mounts(letters, options=IDLE, password=None, start=False)
    typist = Typist(mount)
    typist.expect(b"Password of")
    typist.type(PASSWORD.encode() + b"\n")
    assert typist.end() == 0
    path = mount.message("number 1.")
    letters.password = "other"
    before = attempts(letters)
    letters.cut()
    assert wait_for(lambda: "sign-in refused: " in status(mount))
    assert "next attempt" not in status(mount)
    assert run_retry(mount.path).returncode == 4
    assert attempts(letters) - before == 2
    letters.password = PASSWORD
    assert run_retry(mount.path).returncode == 0
    assert outcome(path) == letter(1)


# ---- commands that hang

def test_command_that_hangs(mounts, letters, folder):
    """It holds up neither what is cached nor the end, and does not outlive the mount."""
    flag, mark = folder / "hang", folder / "pid"
    command = "cat %s; if [ -e %s ]; then echo $$ > %s; sleep 1000; fi" % (
        put(folder / "pw", PASSWORD + "\n"), flag, mark)
    mount = mounts(letters, password=None, options=[*IDLE, "password_command=" + command])
    path = mount.message("number 1.")
    names = os.listdir(mount.path / "INBOX")
    assert outcome(path) == letter(1)
    flag.touch()
    letters.password = "other"
    letters.cut()
    assert wait_for(mark.exists)
    for _ in range(20):
        assert outcome(path) == letter(1)
        assert sorted(os.listdir(mount.path / "INBOX")) == sorted(names)
        assert "state: " in status(mount)
    mount.unmount()
    pid = int(mark.read_text())
    assert wait_for(lambda: not Path("/proc/%d" % pid).exists())


def test_command_that_fails_at_start(mounts, letters):
    """No server refused anything: the status is one after which a service starts again."""
    done = mounts(letters, password=None, start=False,
                  options=["password_command=echo the vault is locked >&2; exit 3"]).run()
    assert done.returncode == 3
    assert "password_command of alice@localhost ended with status 3: the vault is locked\n" in done.stderr
    assert letters.sent("^(LOGIN|AUTHENTICATE)") == []


def test_command_that_fails_at_start_with_a_cache(mounts, letters, folder):
    """A locked keyring: what is cached is shown, and it goes on when it is unlocked."""
    locked = folder / "locked"
    mount = mounts(letters, password=None, start=False, options=[
        *IDLE, "password_command=test ! -e %s && echo '%s'" % (locked, PASSWORD)])
    with mount:
        path = mount.message("number 1.")
        assert outcome(path) == letter(1)
    locked.touch()
    letters.commands.clear()
    done = mount.run()
    assert done.returncode == 0 and done.stderr.count("\n") == 1, done.stderr
    assert "the password_command of alice@localhost ended with status 1" in done.stderr
    assert outcome(path) == letter(1)
    assert "state: offline" in status(mount) and "sign-in refused" not in status(mount)
    assert attempts(letters) == 0
    locked.unlink()
    assert run_retry(mount.path).returncode == 0
    assert "state: online" in status(mount)
    mount.unmount()


ASKING = ("password_command=stty -echo </dev/tty; printf 'Master: ' >/dev/tty; read x </dev/tty; "
          "stty echo </dev/tty; test \"$x\" = open && echo '%s'" % PASSWORD)


@pytest.mark.parametrize("arguments", [[], ["-f"]], ids=["background", "foreground"])
def test_command_that_asks_on_the_terminal(mounts, letters, arguments):
    mount = mounts(letters, password=None, start=False, arguments=arguments, options=[ASKING])
    typist = Typist(mount)
    typist.expect(b"Master: ")
    assert wait_for(lambda: not typist.echoes())
    typist.type(b"open\n")
    assert wait_for(lambda: mounted(mount.path)), typist.look()
    assert outcome(mount.message("number 1.")) == letter(1)
    assert typist.echoes()
    if arguments:
        typist.type(b"\x03")  # the terminal is ours again
    assert typist.end() == 0
    assert b"open" not in typist.shown
    mount.unmount()


def test_command_that_asks_is_interrupted(mounts, letters):
    mount = mounts(letters, password=None, start=False, options=[ASKING])
    typist = Typist(mount)
    typist.expect(b"Master: ")
    assert wait_for(lambda: not typist.echoes())
    typist.type(b"\x03")
    assert typist.end() == -signal.SIGINT
    assert not mounted(mount.path) and attempts(letters) == 0 and mount.processes() == []


def test_command_that_asks_without_a_terminal(mounts, letters):
    mount = mounts(letters, password=None, start=False, options=[ASKING])
    done = subprocess.run(mount.command, env=mount.environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, start_new_session=True)
    assert done.returncode == 3 and "/dev/tty" in done.stderr, done.stderr
    assert "more than 60 seconds" not in done.stderr


# ---- tokens

@pytest.mark.parametrize("mechanism", ["oauthbearer", "xoauth2"])
def test_token(mounts, auth_dovecot, user, folder, mechanism):
    """Connections that are opened within moments share one."""
    runs, token = folder / "runs", put(folder / "token", auth_dovecot.jwt(user) + "\n")
    auth_dovecot.add_user(user)
    with auth_dovecot.client(user) as client:
        for n in range(4):
            client.command(b"CREATE T%d" % n)
            client.append(b"T%d" % n, letter(n))
    began = time.monotonic()
    mount = mounts(auth_dovecot, user=user, password=None, writes=True, options=[
        *IDLE, "auth=" + mechanism, "token_command=echo >> %s; cat %s" % (runs, token)])
    readers = [threading.Thread(target=lambda n=n: outcome(mount.message("number %d." % n,
                                                                         "T%d" % n)))
               for n in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(SLOW)
    assert outcome(mount.message("number 3.", "T3")) == letter(3)
    assert len(runs.read_text()) <= 1 + (time.monotonic() - began) // 30


def test_token_that_is_refused(mounts, auth_dovecot):
    done = mounts(auth_dovecot, password=None, start=False, options=[
        "token_command=echo expired.token.7319"]).run()
    assert done.returncode == 4, done.stderr
    assert "expired.token.7319" not in done.stderr


# ---- what is left of them

WAYS = ["plain", "login", "cram-md5", "digest-md5", "scram-sha-1", "scram-sha-256", "xoauth2",
        "oauthbearer"]


@pytest.mark.skipif(os.getuid(), reason="only root may look into the worker")
@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left(mounts, auth_dovecot, user, folder, way):
    """The only copy after the sign-in is in pages that are locked and left out of core dumps."""
    password = "battery7319staple-" + user
    auth_dovecot.set_password(user, password)
    options, given = ["auth=" + way], password
    if way in ("xoauth2", "oauthbearer"):
        given = auth_dovecot.jwt(user)
        options.append("token_command=cat %s" % put(folder / "token", given + "\n"))
        given = given[-30:]
    mount = mounts(auth_dovecot, user=user, writes=True, options=[*IDLE, *options],
                   password=None if "token_command" in options[-1] else password)
    assert "INBOX" in os.listdir(mount.path) and "state: online" in status(mount)
    worker = mount.worker()
    assert remains(worker, given.encode()) == []
    for pid in mount.processes():
        for name in ("environ", "cmdline"):
            assert given.encode() not in Path("/proc/%d/%s" % (pid, name)).read_bytes()
        if pid != worker:
            assert remains(pid, given.encode()) == []
    kept = [flags for begin, end, readable, flags in mappings(worker)
            if "dd" in flags and readable and end - begin < 1 << 20
            and given.encode() in memory(worker, begin, end)]
    assert kept, "it is in no memory at all: this proves nothing"


def memory(pid, begin, end):
    with open("/proc/%d/mem" % pid, "rb") as mem:
        mem.seek(begin)
        try:
            return mem.read(end - begin)
        except OSError:
            return b""
