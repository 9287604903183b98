"""Starting: each mistake is one clear line and its own status, and leaves nothing mounted."""
import errno
import os
import re
import socket
import subprocess
import threading

import pytest

from lib import scripted, servers, tls
from lib.mount import BINARY, mounted, wait_for

USAGE, CONFIG, NETWORK, LOGIN, MOUNT = 1, 2, 3, 4, 5


@pytest.fixture
def fails(mounts):
    """fails(status, words, mount): it must end so, with one line that holds the words."""
    def check(status, words, mount):
        done = mount.run()
        lines = done.stderr.strip().splitlines()
        assert done.returncode == status, done.stderr
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("mailmount: ")
        assert re.search(words, lines[0], re.I), lines[0]
        assert "secret" not in lines[0]
        assert not mounted(mount.path)
        # the supervisor tells the status, then ends
        assert wait_for(lambda: not mount.processes()), mount.processes()
        return lines[0]
    return check


def test_help_and_version():
    done = subprocess.run([BINARY, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "mailmount" in done.stdout and "password_command" in done.stdout
    done = subprocess.run([BINARY, "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and re.search(r"mailmount.*\d+\.\d+", done.stdout)


# ---- usage

@pytest.mark.parametrize("arguments,words", [
    ([], "SOURCE is needed: a mail address"),
    (["imaps://alice@localhost"], "MOUNTPOINT"),
    (["imaps://alice@localhost", "MAIL", "more"], "nothing else"),
    (["--nonsense", "imaps://alice@localhost", "MAIL"], "nonsense"),
    (["-o", "nonsense", "imaps://alice@localhost", "MAIL"], "nonsense"),
    (["-o", "nonsense=1", "imaps://alice@localhost", "MAIL"], "nonsense"),
    (["-o", "timeout=soon", "imaps://alice@localhost", "MAIL"], "timeout"),
    (["-o", "timeout=-1", "imaps://alice@localhost", "MAIL"], "timeout"),
    (["-o", "view=sideways", "imaps://alice@localhost", "MAIL"], "view"),
    (["-o", "cache_size=little", "imaps://alice@localhost", "MAIL"], "cache_size"),
    (["-o", "tls=none", "imaps://alice@localhost", "MAIL"], "tls"),
    (["http://alice@localhost", "MAIL"], "imaps://"),
    (["imaps://alice:secret@localhost", "MAIL"], "password"),
    (["imaps://alice@", "MAIL"], "host"),
    (["imaps://alice@localhost:99999", "MAIL"], "port"),
], ids=lambda v: " ".join(v)[:60] if isinstance(v, list) else None)
def test_usage(mounts, arguments, words):
    mount = mounts(start=False, source="unused")
    command = [str(BINARY), *(str(mount.path) if a == "MAIL" else a for a in arguments)]
    done = subprocess.run(command, env=mount.environment, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == USAGE, done.stderr
    assert "secret@" not in done.stderr
    assert done.stderr.startswith("mailmount: ")
    assert re.search(words, done.stderr, re.I), done.stderr
    assert len(done.stderr.splitlines()) == 1


# ---- sign-in

def test_wrong_password(server, mounts, fails):
    line = fails(LOGIN, "refused to sign in alice", mounts(server, start=False, password="wrong"))
    assert "check user name and password" in line and "app password" in line


def test_wrong_password_with_a_cache(dovecot_sample, mounts, fails):
    mount = mounts(dovecot_sample)
    os.listdir(mount.path / "INBOX")
    mount.unmount()
    mount.secret.write_text("wrong\n")
    fails(LOGIN, "password|refused", mount)


def test_the_servers_words_are_told(mounts, fails, messages):
    with scripted.Scripted({"INBOX": messages[:1]},
                           {"login": "NO [ALERT] Please visit\x1b[2J example.org"}) as server:
        line = fails(LOGIN, "Please visit", mounts(server, start=False))
        assert "\x1b" not in line


def test_a_password_command_that_fails(dovecot, mounts, fails):
    """As if the server were out of reach: it may be well a moment later."""
    for command in ("exit 3", "true"):
        mount = mounts(dovecot, start=False)
        mount.arguments = [a if not a.startswith("password_command=")
                           else "password_command=" + command for a in mount.arguments]
        fails(NETWORK, "password_command", mount)


def test_no_password_and_no_terminal(dovecot, mounts, fails):
    mount = mounts(dovecot, start=False)
    at = next(n for n, a in enumerate(mount.arguments) if a.startswith("password_command="))
    del mount.arguments[at - 1:at + 1]
    fails(LOGIN, "password_command|terminal", mount)


# ---- network

def test_unknown_host(mounts, fails):
    fails(NETWORK, r"no-such-host\.invalid",
          mounts(start=False, source="imaps://alice@no-such-host.invalid"))


def test_refused_port(mounts, fails):
    port = servers.free_port()
    fails(NETWORK, "refused", mounts(start=False, source="imaps://alice@localhost:%d" % port))


def test_a_server_that_says_nothing(mounts, fails):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for scheme, more in (("imaps", []), ("imap", []), ("imap", ["tls=none"])):
            fails(NETWORK, "time|answer", mounts(
                start=False, source="%s://alice@localhost:%d" % (scheme, port),
                options=["timeout=1", *more]))


GREETINGS = {"SSH": "SSH-2.0-OpenSSH_9.2", "SMTP": "220 mail.example.org ESMTP ready",
             "HTTP": "HTTP/1.1 400 Bad Request", "POP3": "+OK POP3 ready"}


@pytest.mark.parametrize("greeting", GREETINGS)
def test_not_an_imap_server(mounts, fails, greeting):
    with scripted.Scripted({}, {"greeting": GREETINGS[greeting]}) as server:
        fails(NETWORK, "imap", mounts(server, start=False))


def test_a_server_that_is_closed(mounts, fails):
    with scripted.Scripted({}, {"greeting": "* BYE closed for repairs"}) as server:
        fails(NETWORK, "closed for repairs", mounts(server, start=False))


def test_plain_text_where_tls_is_expected(dovecot, mounts, fails):
    fails(NETWORK, "tls", mounts(dovecot, start=False, port=dovecot.imap_port))


def test_tls_where_plain_text_is_expected(dovecot, mounts, fails):
    fails(NETWORK, "imap|tls|answer|time", mounts(dovecot, start=False, tls="starttls",
                                                  port=dovecot.imaps_port, options=["timeout=2"]))


# ---- TLS

@pytest.fixture
def tls_server(authority):
    """tls_server(certificate): a scripted server that shows it."""
    running = []

    def start(certificate, **options):
        running.append(scripted.Scripted({"INBOX": []}, tls=certificate, **options).__enter__())
        return running[-1]
    yield start
    for server in running:
        server.__exit__()


def test_certificates(authority, tls_server, mounts, fails):
    cases = [(authority.expired(), "expired", authority.ca),
             (authority.elsewhere(), "localhost|name", authority.ca),
             (authority.self_signed(), "self.signed|certificate", authority.ca),
             (authority.certificate("fine"), "certificate", None)]
    for number, (certificate, words, ca) in enumerate(cases):
        server = tls_server(certificate)
        line = fails(NETWORK, words, mounts(start=False, port=server.port, ca=ca))
        assert "certificate" in line
        assert not server.commands, "it spoke to a server that it cannot trust"


def test_no_authorities_are_installed(authority, tls_server, mounts, fails, folder):
    """A newcomer is not led to pin whatever is there."""
    server = tls_server(authority.certificate("fine"))
    for name, some in (("empty", False), ("4042bcee.0", True)):
        certificates = folder / ("certificates of %s" % name)
        certificates.mkdir()
        if some:
            (certificates / name).write_bytes(authority.self_signed()[0].read_bytes())
        mount = mounts(start=False, port=server.port)
        mount.environment.update(SSL_CERT_DIR="/nowhere:%s" % certificates, SSL_CERT_FILE="/nowhere")
        line = fails(NETWORK, "not known here" if some else "package ca-certificates", mount)
        assert ("tls_fingerprint=" in line) == some and not server.commands


def test_a_certificate_for_later(authority, tls_server, mounts, fails):
    later = authority.certificate("later", start="20450101000000Z")
    fails(NETWORK, "not yet valid|certificate",
          mounts(start=False, port=tls_server(later).port, ca=authority.ca))


def test_fingerprint(authority, tls_server, mounts, fails):
    certificate = authority.self_signed()
    server = tls_server(certificate)
    digits = tls.fingerprint(certificate[0])
    for written in (digits, ":".join(digits[n:n + 2] for n in range(0, 64, 2)).upper()):
        mount = mounts(port=server.port, options=["tls_fingerprint=" + written])
        assert os.listdir(mount.path) == ["INBOX"]
        mount.unmount()
    other = digits[:-1] + ("0" if digits[-1] != "0" else "1")
    fails(NETWORK, "fingerprint", mounts(start=False, port=server.port,
                                         options=["tls_fingerprint=" + other]))
    fails(USAGE, "fingerprint", mounts(start=False, port=server.port,
                                       options=["tls_fingerprint=abc"]))


def test_a_ca_file_that_is_none(dovecot, mounts, fails, folder):
    for text in (None, "", "nonsense"):
        if text is not None:
            (folder / "ca").write_text(text)
        mount = mounts(dovecot, start=False, ca=folder / "ca")
        done = mount.run()
        assert done.returncode == NETWORK, done.stderr
        assert str(folder / "ca") in done.stderr and len(done.stderr.splitlines()) == 1


def test_starttls_cannot_be_stripped(mounts, fails, messages, authority):
    """No STARTTLS offered, refused, or answered in the clear: never a password."""
    with scripted.Scripted({"INBOX": messages[:1]}) as server:
        fails(NETWORK, "starttls", mounts(start=False, ca=authority.ca,
                                          source="imap://alice@localhost:%d" % server.port))
        assert not server.sent("LOGIN|AUTHENTICATE")
    with scripted.Scripted({}, {"greeting": "* PREAUTH welcome"}) as server:
        fails(NETWORK, "starttls|preauth|tls",
              mounts(start=False, source="imap://alice@localhost:%d" % server.port))


def test_nothing_before_tls_counts(mounts, messages, authority, fails):
    """What was sent along with the answer to STARTTLS is not taken as said under TLS."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
            while line := lines.readline():
                tag = line.split()[0]
                if b"STARTTLS" in line.upper():
                    connection.sendall(tag + b" OK go\r\n* CAPABILITY IMAP4rev1 AUTH=EVIL\r\n")
                    return
                connection.sendall(b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" + tag + b" OK done\r\n")
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    fails(NETWORK, "tls", mounts(start=False, ca=authority.ca, options=["timeout=2"],
                                 source="imap://alice@localhost:%d" % listener.getsockname()[1]))
    listener.close()
    thread.join(10)


# ---- the mount point

def test_a_missing_mount_point(dovecot, mounts, fails):
    mount = mounts(dovecot, start=False)
    mount.path.rmdir()
    fails(MOUNT, "does not exist", mount)


def test_a_mount_point_that_is_a_file(dovecot, mounts, fails):
    mount = mounts(dovecot, start=False)
    mount.path.rmdir()
    mount.path.write_text("")
    fails(MOUNT, "directory", mount)


def test_a_mount_point_with_files(dovecot_sample, mounts, fails):
    mount = mounts(dovecot_sample, start=False)
    (mount.path / "file").write_text("here")
    fails(MOUNT, "empty", mount)
    mount.arguments += ["-o", "nonempty"]
    with mount:
        assert "INBOX" in os.listdir(mount.path)
    assert os.listdir(mount.path) == ["file"]


def test_an_occupied_mount_point(dovecot_sample, mounts):
    first = mounts(dovecot_sample)
    second = mounts(dovecot_sample, start=False)
    second.path.rmdir()
    second.path = first.path
    done = second.run()
    assert done.returncode == MOUNT
    assert re.search("in use|mounted", done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "INBOX" in os.listdir(first.path)


def test_a_cache_below_the_mount_point(dovecot, mounts):
    mount = mounts(dovecot, start=False)
    mount.arguments += ["-o", "cache_dir=%s/cache" % mount.path]
    done = mount.run()
    assert done.returncode == CONFIG and "below the mount point" in done.stderr, done.stderr


# ---- configuration

@pytest.fixture
def configured(mounts, folder):
    """configured(text, source): a mount that reads this file."""
    def make(text, source="work", mode=0o600):
        path = folder / "mailmount.conf"
        path.write_text(text)
        path.chmod(mode)
        mount = mounts(source=source, start=False)
        mount.arguments = ["-o", "config=%s" % path]
        return mount
    return make


@pytest.mark.parametrize("text,words", [
    ("[work\nsource=x", "mailmount.conf"),
    ("[work]\nsource = imaps://alice@localhost\nnonsense = 1\n", "nonsense"),
    ("[work]\nsource = imaps://alice@localhost\ntimeout = soon\n", "timeout"),
    ("[work]\nuser = alice\n", "source"),
    ("[other]\nsource = imaps://alice@localhost\n", "work"),
    ("[work]\nsource = work\n", "source"),
], ids=["broken", "unknown key", "bad value", "no source", "no such account", "no URL"])
def test_bad_configurations(configured, fails, text, words):
    fails(CONFIG, words, configured(text))


def test_a_configuration_that_others_may_write(configured, fails):
    fails(CONFIG, "write|writable|others", configured(
        "[work]\nsource = imaps://alice@localhost\n", mode=0o666))


def test_an_unreadable_configuration(configured, fails, folder):
    mount = configured("")
    (folder / "mailmount.conf").unlink()
    fails(CONFIG, "mailmount.conf", mount)
    (folder / "mailmount.conf").mkdir()
    fails(CONFIG, "mailmount.conf", mount)


@pytest.mark.parametrize("source", ["alice@", "@example.org", "mailto:alice@example.org",
                                    "alice:secret@example.org", "imap.example.org:993"])
def test_what_is_no_source(mounts, fails, source):
    line = fails(CONFIG, "SOURCE is no mail address, no imaps://USER@HOST, and no account",
                 mounts(start=False, source=source))
    assert "No such file" not in line and source not in line


def test_no_configuration_at_all(mounts, fails):
    fails(CONFIG, "account", mounts(start=False, source="work"))


def test_a_configured_account(dovecot_sample, configured):
    mount = configured(
        "[work]\nsource = imaps://alice@localhost:%d\ntls_ca = %s\n"
        "password_command = echo secret\n" % (dovecot_sample.imaps_port, dovecot_sample.ca))
    with mount:
        assert "INBOX" in os.listdir(mount.path)


# ---- several accounts

@pytest.fixture
def two(dovecot_sample, configured):
    """two(source, more lines): a mount of one account that is well, and of this one."""
    def make(source, *lines, well=None):
        well = well or ("source = imaps://alice@localhost:%d\ntls_ca = %s\npassword_command = echo secret\n"
                % (dovecot_sample.imaps_port, dovecot_sample.ca))
        return configured("[one]\n%s\n[two]\nsource = %s\n%s\n" % (well, source, "\n".join(lines)),
                          source="all")
    return make


def test_one_of_several_that_fails(two, dovecot_sample):
    """The others are mounted, and the status says that not all is well."""
    bob = "imaps://bob@localhost:%d" % dovecot_sample.imaps_port
    ca = "tls_ca = %s" % dovecot_sample.ca
    for lines, status, words in (
            ((ca, "password_command = echo wrong"), LOGIN, "refused to sign in bob"),
            (("password_command = echo secret",), NETWORK, "certificate"),
            ((ca, "password_command = echo locked >&2; exit 1"), NETWORK, "status 1: locked"),
            ((ca, "password_file = /nonexistent/file"), LOGIN, "/nonexistent/file"),
            ((ca, "nonsense = 1"), CONFIG, "[two] nonsense")):
        mount = two(bob, *lines)
        done = mount.run()
        assert done.returncode == status, (lines, done)
        assert done.stderr.count("\n") == 1 and words in done.stderr, done.stderr
        assert "two: " in done.stderr and "the others are mounted" in done.stderr, done.stderr
        assert len(os.listdir(mount.path / "one/INBOX")) == 58
        said = (mount.path / ".mailmount/status").read_text().split("account: ")[-1]
        assert said.startswith("two\n") and words in said, said
        if status != CONFIG:
            assert "state: offline" in said
            with pytest.raises(OSError) as problem:  # an empty one would be mirrored as such
                os.listdir(mount.path / "two")
            assert problem.value.errno in (errno.EACCES, errno.ENETUNREACH, errno.ETIMEDOUT)
        mount.unmount()


def test_the_only_one_of_several_fails(two, dovecot_sample, fails):
    """None can be used: nothing is mounted."""
    line = fails(LOGIN, "^mailmount: two: .*refused to sign in bob", two(
        "imaps://bob@localhost:%d" % dovecot_sample.imaps_port,
        "tls_ca = %s" % dovecot_sample.ca, "password_command = echo wrong", well="nonsense = 1"))
    assert "mounted" not in line


def test_one_of_several_whose_command_hangs(two, dovecot_sample):
    """It holds up no other, and goes on."""
    mount = two("imaps://bob@localhost:%d" % dovecot_sample.imaps_port,
                "tls_ca = %s" % dovecot_sample.ca, "password_command = sleep 1000")
    done = mount.run(timeout=50)  # less than a command may take
    assert done.returncode == 0 and "two: has not signed in yet" in done.stderr, done.stderr
    assert len(os.listdir(mount.path / "one/INBOX")) == 58
    assert "offline, connecting" in (mount.path / ".mailmount/status").read_text()
    mount.unmount()
    assert mount.processes() == []


def test_one_of_several_that_is_mounted_elsewhere(two, dovecot_sample):
    mount = two("imaps://bob@localhost:%d" % dovecot_sample.imaps_port,
                "tls_ca = %s" % dovecot_sample.ca, "password_command = echo secret")
    elsewhere = mount.folder / "elsewhere"
    elsewhere.mkdir()
    other = subprocess.run([BINARY, *mount.arguments, "two", elsewhere], env=mount.environment,
                           capture_output=True, text=True)
    assert other.returncode == 0, other.stderr
    try:
        done = mount.run()
        assert done.returncode == MOUNT and "two: " in done.stderr, done
        assert os.listdir(mount.path) == ["one"]
        assert "account: two\nstate: not shown: " in (
            mount.path / ".mailmount/status").read_text()
        mount.unmount()
        mount.arguments.insert(0, "-f")
        mount.start_in_foreground(())
        assert mount.process.poll() is None and mounted(mount.path)
        mount.unmount()
    finally:
        subprocess.run(["fusermount3", "-u", elsewhere], check=True)


@pytest.mark.parametrize("lines,words", [(["nonsense = 1"], "[two] nonsense"),
                                         (["poll = 60", "poll = 90"], "[two] poll: line ")])
def test_a_mistake_elsewhere_is_a_warning(two, dovecot_sample, lines, words):
    mount = two("imaps://bob@localhost:%d" % dovecot_sample.imaps_port, *lines)
    mount.source = "one"
    done = mount.run()
    assert done.returncode == 0 and words in done.stderr, done.stderr
    assert len(os.listdir(mount.path / "INBOX")) == 58
    mount.unmount()
    for arguments in (["--check", "one"], ["--list"]):
        done = subprocess.run([BINARY, *mount.arguments, *arguments], env=mount.environment,
                              capture_output=True, text=True)
        assert done.returncode == 0 and "one" in done.stdout, done


def test_one_of_several_that_cannot_be_reached(two):
    """The other is shown, and this one is there, and says that it cannot be listed."""
    mount = two("imaps://bob@localhost:%d" % servers.free_port(), "password_command = echo secret")
    done = mount.run()
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "two: " in done.stderr, done.stderr
    assert sorted(os.listdir(mount.path)) == ["one", "two"]
    assert len(os.listdir(mount.path / "one/INBOX")) == 58
    with pytest.raises(OSError) as problem:
        os.listdir(mount.path / "two")
    assert problem.value.errno == errno.ENETUNREACH
    assert "deleting: refused" not in (mount.path / ".mailmount/status").read_text()
    mount.unmount()


def silent_one(configured, port, *lines):
    """A mount of an account whose server, at `port`, says nothing, and of another."""
    return configured("[one]\nsource = imap://a@localhost:%d\ntimeout = 600\n"
                      "password_command = echo secret\n[two]\n%s\n" % (port, "\n".join(lines)),
                      source="all")


def test_one_that_is_silent_holds_no_other(configured, messages):
    """The others sign in meanwhile; the end comes at once."""
    with socket.create_server(("127.0.0.1", 0)) as silent, scripted.Scripted(
            {"INBOX": messages[:1]}) as server:
        mount = silent_one(configured, silent.getsockname()[1],
                           "source = imap://b@localhost:%d" % server.port, "tls = none",
                           "password_command = echo secret")
        starting = subprocess.Popen([BINARY, *mount.arguments, "all", mount.path],
                                    env=mount.environment, stderr=subprocess.DEVNULL)
        assert wait_for(lambda: server.sent("LIST"))
        assert starting.poll() is None
        starting.terminate()
        starting.wait(120)
        assert wait_for(lambda: not mount.processes())


def test_a_failure_waits_for_no_silent_one(configured):
    with socket.create_server(("127.0.0.1", 0)) as silent, scripted.Scripted(
            {"INBOX": []}) as server:
        mount = silent_one(
            configured, silent.getsockname()[1],
            "source = imap://b@localhost:%d" % server.port, "tls = none",
            "password_command = echo wrong")
        done = mount.run()
        assert done.returncode == LOGIN and "two: " in done.stderr, done.stderr
        assert "one: has not signed in yet" in done.stderr
        mount.unmount()


# ---- the disk

if os.getuid() == 0:
    @pytest.fixture
    def small_disk(folder):
        """small_disk(size): where a filesystem of this size is mounted."""
        path = folder / "small"

        def make(size):
            path.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", path],
                           check=True)
            return path
        yield make
        subprocess.run(["umount", path], check=True)

    @pytest.mark.parametrize("size,unread", [("3m", 0), ("1m", 0), ("512k", 1)])
    def test_a_full_disk_under_the_cache(dovecot_sample, mounts, messages, small_disk, size,
                                         unread):
        """Room for the lists, and not for all that is read: that is read without being kept, or
        its reader is told; what is shown is right."""
        disk = small_disk(size)
        mount = mounts(dovecot_sample, options=["cache_dir=%s" % disk])
        names = [n for n in os.listdir(mount.path / "INBOX") if n.endswith("].eml")]
        assert len(names) == 29
        failed = []
        for name in names:
            try:
                data = (mount.path / "INBOX" / name).read_bytes()
                assert data == messages[int(name[name.rindex("[") + 1:-5]) - 1].raw, name
            except OSError as problem:
                assert problem.errno == errno.ENOSPC, name
                failed.append(name)
        assert len(failed) <= unread, failed
        free = os.statvfs(disk)
        assert free.f_bavail * free.f_bsize < 32_768, "the disk never was full"
        mount.unmount()

    @pytest.mark.parametrize("size", ["4k,nr_inodes=2", "64k", "128k", "256k"])
    def test_no_room_for_a_cache_at_all(dovecot_sample, mounts, fails, small_disk, size):
        """Whether its first file or the list of folders is what finds no room."""
        disk = small_disk(size)
        fails(MOUNT, "no space.*cache", mounts(dovecot_sample, start=False,
                                               options=["cache_dir=%s" % disk]))


def test_a_cache_that_cannot_be_made(dovecot, mounts, folder):
    (folder / "file").write_text("")
    done = mounts(dovecot, start=False, options=["cache_dir=%s/file/cache" % folder]).run()
    assert done.returncode == MOUNT
    assert len(done.stderr.splitlines()) == 1 and "%s/file/cache" % folder in done.stderr
