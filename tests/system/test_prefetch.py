"""Folders that are fetched whole, and what can be read of them when the network is gone."""
import errno
import os
import pty
import re
import signal
import subprocess

import pytest

from lib import mail, plainserver, scripted
from lib.mount import BINARY, SLOW, wait_for
from lib.others import Other

FAR = ["poll=3600", "timeout=20"]
MANY = 500
BIG = 3 << 20


def letter(number, size=0):
    return (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\n"
            b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nSubject: number %d\r\n"
            b"Message-ID: <prefetch%d@example.org>\r\n\r\nneedle %d\r\n%s" % (
                number, number, number, (b"x" * 70 + b"\r\n") * (size // 72)))


def ask(mount, request):
    fd = os.open(mount.path / ".mailmount/control", os.O_WRONLY)
    try:
        os.write(fd, request.encode() + b"\n")
    finally:
        os.close(fd)


def progress(mount):
    """{folder: (state, messages done, messages, bytes done, bytes, why)}"""
    lines = (mount.path / ".mailmount/prefetch").read_text().splitlines()
    fields = [line.split("\t") for line in lines]
    return {f[5]: (f[0], *map(int, f[1:5]), f[6]) for f in fields}


def state(mount, folder="INBOX"):
    return progress(mount).get(folder, ("",))[0]


def prefetch(mount, *arguments, **options):
    """Runs mailmount --prefetch; a CompletedProcess with its output."""
    return subprocess.run([BINARY, *arguments], env=mount.environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=SLOW, **options)


def status(mount):
    return (mount.path / ".mailmount/status").read_text()


def received(mount):
    """Bytes from the server, as exact as the status says it."""
    number, unit = re.search(r"received: ([0-9.]+)\s(\S+) in", status(mount)).groups()
    return float(number) * {"bytes": 1, "kB": 1e3, "MB": 1e6}[unit]


def is_offline(mount):
    return "state: offline" in status(mount)


def fill(server, user, mailbox=b"INBOX", count=10):
    with server.client(user) as client:
        for number in range(count):
            client.append(mailbox, letter(number))


def sample(server, user):
    """All the sample mail of the tests, a big attachment among it, in INBOX; its number."""
    messages = [m for m in mail.sample_messages() if m.mailbox == "INBOX"]
    messages.append(mail.Message("INBOX", mail.multipart(
        "mixed", mail.text("see the attachment\n"),
        mail.attachment("big.bin", mail.noise(BIG))), subject="big attachment"))
    with server.client(user) as client:
        mail.deliver(client, messages)
        client.command(b"CREATE Elsewhere")
        client.append(b"Elsewhere", letter(77))
    return messages


def contents(top):
    """Every file below a folder, with its bytes."""
    found = {}
    for where, _, names in os.walk(top):
        for name in names:
            with open(os.path.join(where, name), "rb") as file:
                found[os.path.relpath(os.path.join(where, name), top)] = file.read()
    return found


# ---- offline

def read_all(mount, messages):
    inbox = mount.path / "INBOX"
    assert len(os.listdir(inbox)) == 2 * len(messages)
    for command in (["ls", "-lR", inbox], ["grep", "-r", "attachment", inbox],
                    ["find", inbox, "-type", "f", "-exec", "cat", "{}", "+"],
                    ["cat", mount.message("big attachment")]):
        done = subprocess.run(command, capture_output=True, timeout=SLOW)
        assert (done.returncode, done.stderr) == (0, b""), command
        assert done.stdout
    return contents(inbox)


def elsewhere(mount):
    """The errno of a message that was listed, and never fetched."""
    with pytest.raises(OSError) as refused:
        mount.message("number 77", "Elsewhere").read_bytes()
    return refused.value.errno


def test_offline(server, user, mounts, through):
    """After it was prefetched a folder is whole without a server, all its parts too."""
    server.add_user(user)
    messages = sample(server, user)
    with mounts(server, user=user, name="plain", options=FAR, start=False) as plain:
        expected = contents(plain.path / "INBOX")
    proxy = through(server)
    mount = mounts(server, user=user, port=proxy.port, tls="none", options=FAR)
    os.listdir(mount.path / "Elsewhere")
    done = prefetch(mount, "--prefetch", "INBOX", str(mount.path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith(
        "INBOX: complete, %d of %d messages" % (len(messages), len(messages)))
    assert state(mount) == "complete"

    proxy.go_away()
    assert wait_for(lambda: is_offline(mount))
    connections = proxy.traffic().connections
    assert read_all(mount, messages) == expected
    assert elsewhere(mount) == errno.ENETUNREACH
    assert "prefetch: INBOX: complete" in status(mount)
    mount.unmount()

    with mount:  # mounted without a server
        assert is_offline(mount)
        assert read_all(mount, messages) == expected
        assert elsewhere(mount) == errno.ENETUNREACH
        mount.unmount()
    assert proxy.traffic().connections == connections


def test_round_trips(server, user, mounts, through):
    """Small messages come in sets, with their structure."""
    server.add_user(user)
    fill(server, user, count=MANY)
    proxy = through(server)
    mount = mounts(server, user=user, port=proxy.port, tls="none", options=FAR)
    assert len(os.listdir(mount.path / "INBOX")) == 2 * MANY
    before = proxy.traffic()
    proxy.heard = b""
    done = prefetch(mount, "--prefetch", str(mount.path / "INBOX"))
    assert done.returncode == 0, done.stderr
    spent = proxy.traffic() - before
    print("%d messages: %d round trips, %d connections" % (MANY, spent.trips, spent.connections))
    if b"FETCH" in proxy.heard:  # not compressed
        assert 2 <= proxy.heard.count(b"BODY.PEEK[]") <= 4, proxy.heard
    assert spent.trips <= 12  # most of them to open a second connection
    proxy.go_away()
    assert wait_for(lambda: is_offline(mount))
    found = subprocess.run(["grep", "-rl", "needle", mount.path / "INBOX"], capture_output=True)
    assert len(found.stdout.splitlines()) == 2 * MANY
    assert found.stderr == b""
    mount.unmount()


# ---- the command

@pytest.fixture
def mount(dovecot, user, mounts, through):
    """A mount through `mount.proxy` with ten messages in INBOX and none in Empty."""
    dovecot.add_user(user)
    fill(dovecot, user)
    with dovecot.client(user) as client:
        client.command(b"CREATE Empty")
        client.command(b"CREATE Deep/Folder")
    proxy = through(dovecot)
    made = mounts(dovecot, user=user, port=proxy.port, tls="none", options=FAR, writes=True)
    made.proxy = proxy
    return made


def test_ways_to_name_a_folder(mount):
    for arguments in (["--prefetch", "INBOX", mount.path],
                      ["--prefetch", "INBOX/", "--prefetch", "Empty", mount.path],
                      ["--prefetch", mount.path / "INBOX", "--prefetch", mount.path / "Deep/Folder"],
                      ["--prefetch", mount.path / "INBOX", mount.path]):
        done = prefetch(mount, *arguments)
        assert (arguments, done.returncode, done.stderr) == (arguments, 0, "")
        assert all(": complete, " in line for line in done.stdout.splitlines()
                   if ": fetching, " not in line)
    done = prefetch(mount, "--prefetch", "INBOX", "--prefetch", ".", cwd=mount.path / "Empty")
    assert done.returncode == 1  # of a path that is not there
    assert prefetch(mount, "--prefetch", ".", cwd=mount.path / "Empty").returncode == 0
    assert set(progress(mount)) == {"INBOX", "Empty", "Deep/Folder"}


REFUSED = [(["--prefetch", "Nowhere", "{path}"], 1, "has no folder Nowhere"),
           (["--prefetch", "Deep", "{path}"], 1, "no folder with messages"),
           (["--prefetch", "/tmp", "{path}"], 1, "does not lie below"),
           (["--prefetch", "/tmp"], 5, "there is no mount"),
           (["--prefetch", "INBOX", "/tmp"], 5, "there is no mount"),
           (["--prefetch", "INBOX", "{path}", "more"], 1, "takes a MOUNTPOINT"),
           (["--prefetch", "INBOX", "-o", "ro", "{path}"], 1, "takes a MOUNTPOINT"),
           (["--prefetch"], 1, "--prefetch")]


def test_what_cannot_be(mount):
    for arguments, code, words in REFUSED:
        done = prefetch(mount, *[a.format(path=mount.path) for a in arguments])
        assert (arguments, done.returncode) == (arguments, code), done.stderr
        assert words in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_read_only(dovecot, user, mounts):
    dovecot.add_user(user)
    mount = mounts(dovecot, user=user, options=["ro"])
    done = prefetch(mount, "--prefetch", "INBOX", mount.path)
    assert done.returncode == 5 and "ro" in done.stderr


def test_a_bar_on_a_terminal(mount):
    ours, theirs = pty.openpty()
    done = subprocess.run([BINARY, "--prefetch", mount.path / "INBOX"], env=mount.environment,
                          stdin=subprocess.DEVNULL, stdout=theirs, timeout=SLOW)
    os.close(theirs)
    shown = os.read(ours, 65536)
    os.close(ours)
    assert done.returncode == 0
    assert b"\r" in shown and b"INBOX [####" in shown and b"10/10" in shown, shown
    assert shown.endswith(b"\n")


def begin(mount, *folders):
    words = [w for f in folders for w in ("--prefetch", mount.path / f)]
    return subprocess.Popen([BINARY, *words], env=mount.environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_stops_it(dovecot, user, mount):
    fill(dovecot, user, b"Empty", 300)
    os.listdir(mount.path / "Empty")
    mount.proxy.stall(20000)
    with begin(mount, "Empty", "INBOX") as running:
        assert wait_for(lambda: state(mount, "Empty") == "fetching")
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=SLOW)
        assert running.returncode == 130 and "interrupted" in said
    assert state(mount, "Empty") == state(mount) == "stopped"
    mount.proxy.resume()
    ask(mount, "check")
    assert state(mount, "Empty") == "stopped"
    assert prefetch(mount, "--prefetch", mount.path / "Empty").returncode == 0  # it can go on


def test_the_folder_goes_away(dovecot, user, mount):
    """Nobody waits for a folder that bears another name meanwhile."""
    fill(dovecot, user, b"Empty", 300)
    os.listdir(mount.path / "Empty")
    mount.proxy.stall(20000)
    with begin(mount, "Empty") as running:
        try:
            assert wait_for(lambda: state(mount, "Empty") == "fetching")
            os.rename(mount.path / "Empty", mount.path / "Full")
            _, said = running.communicate(timeout=SLOW)
        finally:
            running.kill()
            mount.proxy.resume()
    assert (running.returncode, "Empty: the folder is gone" in said) == (1, True), said


def test_the_server_goes_away(dovecot, user, mount):
    fill(dovecot, user, b"Empty", 300)
    os.listdir(mount.path / "Empty")
    mount.proxy.stall(20000)
    with begin(mount, "Empty") as running:
        assert wait_for(lambda: state(mount, "Empty") == "fetching")
        mount.proxy.go_away()
        _, said = running.communicate(timeout=SLOW)
        assert running.returncode == 3, said
        assert "out of reach" in said and "of 300 messages" in said
    done = prefetch(mount, "--prefetch", "INBOX", mount.path)
    assert done.returncode == 3 and "out of reach" in done.stderr


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "unlisted"])
@pytest.mark.parametrize("command", ["", "^UID FETCH .*INTERNALDATE", "^UID FETCH .*BODY.PEEK.]"],
                         ids=["everything", "list", "bytes"])
def test_a_stalled_server(mounts, listed, command):
    """One that is silent is out of reach, whatever it was asked last."""
    with plainserver.PlainServer({"INBOX": [letter(n) for n in range(30)]},
                                 plainserver.USUAL) as server:
        mount = mounts(server, options=["poll=3600", "timeout=5"])
        if listed:
            os.listdir(mount.path / "INBOX")
        server.fault(command, silent=True)
        done = prefetch(mount, "--prefetch", mount.path / "INBOX")
        assert done.returncode == (0 if listed and "DATE" in command else 3), done
        assert done.returncode == 0 or "out of reach" in done.stderr


def test_the_mount_goes_away(dovecot, user, mount):
    fill(dovecot, user, b"Empty", 300)
    os.listdir(mount.path / "Empty")
    mount.proxy.stall(20000)
    with begin(mount, "Empty") as running:
        assert wait_for(lambda: state(mount, "Empty") == "fetching")
        mount.unmount(lazily=True)
        _, said = running.communicate(timeout=SLOW)
        assert running.returncode == 5 and "went away" in said


def test_a_cache_that_is_too_small(dovecot, user, mounts):
    """The newest messages come, and stay."""
    dovecot.add_user(user)
    with dovecot.client(user) as client:
        for number in range(30):
            client.append(b"INBOX", letter(number, 900 << 10))
    mount = mounts(dovecot, user=user, options=[*FAR, "cache_size=16M"], writes=True)
    done = prefetch(mount, "--prefetch", "INBOX", mount.path)
    assert done.returncode == 5 and "too small" in done.stderr, done.stderr
    assert "of 30 messages" in done.stderr
    kept = progress(mount)["INBOX"][1]
    assert 5 <= kept < 30
    before = received(mount)
    for number in range(29, 29 - kept, -1):
        assert len(mount.message("number %d " % number).read_bytes()) > 800 << 10
    assert received(mount) - before < 500e3  # no message was asked for


# ---- servers with flaws

FLAWS = {
    "sizes": {"size": lambda n: n + 9},
    "some sizes": {"size": lambda n: n + 9 if n % 2 else n},
    "no structure": {"structure": lambda uid, s: b'("ALTERNATIVE")'},
    "uid last": {"uid_last": True},
    "chatter": {"chatter": True},
    "partial is whole": {"whole": True},
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_flaws(mounts, flaw):
    """What is not as announced in a set is fetched alone."""
    with scripted.Scripted({"INBOX": [letter(n, n * 100) for n in range(40)]},
                           FLAWS[flaw]) as server:
        mount = mounts(server, options=FAR)
        done = prefetch(mount, "--prefetch", "INBOX", mount.path)
        assert done.returncode == 0, done.stderr
        assert progress(mount)["INBOX"][1:3] == (40, 40)
        before = len(server.sent(r"BODY.PEEK\[\]"))
        for number in range(40):
            read = mount.message("number %d " % number).read_bytes()
            assert read == letter(number, number * 100)
        assert len(server.sent(r"BODY.PEEK\[\]")) == before
        mount.unmount()


def test_one_message_cannot_be_had(mounts):
    """The others are fetched all the same."""
    with scripted.Scripted({"INBOX": [letter(n) for n in range(20)]},
                           {"no_body": {5}}) as server:
        mount = mounts(server, options=FAR)
        done = prefetch(mount, "--prefetch", "INBOX", mount.path)
        assert done.returncode == 5 and "19 of 20 messages" in done.stderr, done.stderr
        assert state(mount) == "failed"
        mount.unmount()


def test_the_server_limits(usual_plain, mounts):
    """Prefetching rests; the mount does not."""
    with usual_plain.client() as client:
        for number in range(5):
            client.append(b"INBOX", letter(number))
    refusal = usual_plain.refuse(r"UID FETCH .*BODY.PEEK\[\]",
                                 "NO [OVERQUOTA] Account exceeded bandwidth limits", times=1)
    mount = mounts(usual_plain, options=FAR, writes=True)
    done = prefetch(mount, "--prefetch", "INBOX", mount.path)
    assert done.returncode == 3 and "bandwidth limits" in done.stderr, done.stderr
    assert refusal.done == 1
    assert state(mount) == "stopped"  # by who asked for it
    assert b"needle 3" in mount.message("number 3 ").read_bytes()
    assert prefetch(mount, "--prefetch", "INBOX", mount.path).returncode == 3  # for hours


# ---- kept by the configuration

def test_kept(server, user, mounts, through):
    """What matches is fetched, and what arrives."""
    server.add_user(user)
    fill(server, user)
    with server.client(user) as client:
        client.command(b"CREATE Other")
        client.append(b"Other", letter(50))
    proxy = through(server)
    mount = mounts(server, user=user, port=proxy.port, tls="none", writes=True,
                   options=["poll=7", "prefetch=IN*;!Other"])
    assert wait_for(lambda: progress(mount).get("INBOX", ())[:3] == ("complete", 10, 10))
    assert "Other" not in progress(mount)
    with Other(server, user) as other:
        other.deliver("INBOX", letter(10))
    assert wait_for(lambda: progress(mount)["INBOX"][:3] == ("complete", 11, 11))
    ask(mount, "stop INBOX")  # the configuration's word stands
    proxy.go_away()
    assert wait_for(lambda: is_offline(mount))
    assert b"needle 10\r\n" in mount.message("number 10 ").read_bytes()
    assert (mount.parts("number 10 ") / "body.txt").read_text() == "needle 10\n"
    assert state(mount) == "complete"


def big_letters(server, user, mailbox, count):
    with server.client(user) as client:
        if mailbox != b"INBOX":
            client.command(b"CREATE " + mailbox)
        for number in range(count):
            client.append(mailbox, letter(number, 900 << 10))


def test_the_budget_of_a_day(dovecot, user, mounts):
    """It counts for what is kept, across mounts; not for what is asked for."""
    dovecot.add_user(user)
    big_letters(dovecot, user, b"INBOX", 24)
    mount = mounts(dovecot, user=user, writes=True,
                   options=[*FAR, "prefetch=INBOX", "prefetch_daily=16M"])
    assert wait_for(lambda: state(mount) == "paused")
    assert 10 < progress(mount)["INBOX"][1] < 24
    mount.unmount()
    mount.__enter__()
    assert wait_for(lambda: state(mount) == "paused")
    assert "prefetch_daily" in progress(mount)["INBOX"][5]
    assert prefetch(mount, "--prefetch", "INBOX", mount.path).returncode == 0
    assert state(mount) == "complete"


def test_what_was_evicted_comes_back(dovecot, user, mounts, through):
    dovecot.add_user(user)
    big_letters(dovecot, user, b"INBOX", 5)
    big_letters(dovecot, user, b"Other", 20)
    proxy = through(dovecot)
    mount = mounts(dovecot, user=user, port=proxy.port, tls="none", writes=True,
                   options=[*FAR, "prefetch=INBOX", "cache_size=16M"])
    assert wait_for(lambda: state(mount) == "complete")
    contents(mount.path / "Other")
    proxy.heard = b""
    assert wait_for(lambda: b"BODY.PEEK[]" in proxy.heard)
    assert wait_for(lambda: state(mount) == "complete")
    proxy.go_away()
    assert wait_for(lambda: is_offline(mount))
    for number in range(5):
        assert len(mount.message("number %d " % number).read_bytes()) > 800 << 10


def test_the_only_connection(dovecot, user, mounts, through):
    """Who reads meanwhile is served."""
    dovecot.add_user(user)
    fill(dovecot, user, count=300)
    with dovecot.client(user) as client:
        client.command(b"CREATE Other")
        client.append(b"Other", letter(1000))
    proxy = through(dovecot, rtt=0.05)
    mount = mounts(dovecot, user=user, port=proxy.port, tls="none",
                   options=[*FAR, "connections=1"])
    os.listdir(mount.path / "INBOX")
    with begin(mount, "INBOX") as running:
        assert b"needle 1000" in mount.message("number 1000", "Other").read_bytes()
        _, said = running.communicate(timeout=SLOW)
        assert (running.returncode, said) == (0, "")
    assert proxy.traffic().connections == 1
