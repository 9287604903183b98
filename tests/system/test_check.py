"""mailmount --check: what it finds, in one line a step, and its status."""
import os
import pty
import re
import signal
import subprocess

import pytest

from lib import scripted, servers
from lib.mount import BINARY, SLOW, mounted

OK, USAGE, CONFIG, NETWORK, LOGIN, INTERRUPTED = 0, 1, 2, 3, 4, 130
LINE = re.compile(r"  (ok|note|FAIL) +(\S+) +(\S.*)")
WHOLE = ["password", "resolve", "connect", "TLS", "server", "sign-in", "folders", "changes"]


class Checked:
    """What was printed: lines of (mark, step, text) below each title."""

    def __init__(self, status, text):
        self.status, self.text, self.accounts = status, text, {}
        lines = self.accounts.setdefault(None, [])
        for line in text.splitlines():
            found = LINE.fullmatch(line)
            if found:
                lines.append(found.groups())
            else:
                lines = self.accounts.setdefault(line.split()[0], [])

    @property
    def lines(self):
        return [line for lines in self.accounts.values() for line in lines]

    def steps(self):
        return [step for _, step, _ in self.lines]

    def find(self, step):
        """(mark, text) of a step, the last."""
        return [(mark, text) for mark, name, text in self.lines if name == step][-1]

    def failed(self):
        """The step that failed and its text; nothing comes behind it."""
        mark, step, text = self.lines[-1]
        assert mark == "FAIL" and all(m != "FAIL" for m, _, _ in self.lines[:-1]), self.text
        return step, text


def check(mount, source=None):
    done = subprocess.run([BINARY, *mount.arguments, "--check", source or mount.source],
                          env=mount.environment, capture_output=True, text=True, timeout=SLOW,
                          stdin=subprocess.DEVNULL, start_new_session=True)
    assert done.stderr == "", done.stderr
    assert not re.search(r"\bsecret\b", done.stdout), done.stdout
    assert not mounted(mount.path) and not mount.report()
    return Checked(done.returncode, done.stdout)


# ---- what works

def test_all_is_well(server, mounts):
    done = check(mounts(server, start=False))
    assert (done.status, done.steps()) == (OK, WHOLE), done.text
    assert done.find("password") == ("ok", "password_command printed one")
    assert "127.0.0.1" in done.find("resolve")[1] and "port" in done.find("connect")[1]
    assert re.search(r"TLSv1\.\d; certificate of CN=\S+ from CN=mailmount test authority, "
                     r"until 20\d\d-\d\d-\d\d; trusted by tls_ca=", done.find("TLS")[1]), done.text
    assert "PLAIN" in done.find("server")[1]
    assert re.match("as alice by [A-Z]", done.find("sign-in")[1]), done.text
    assert "trash is Trash" in done.find("folders")[1].replace("INBOX/", "").replace("INBOX.", "")
    assert done.find("changes")[0] == "ok"


def test_starttls(dovecot, mounts):
    done = check(mounts(dovecot, start=False, tls="starttls"))
    assert (done.status, sorted(done.steps())) == (OK, sorted(WHOLE)), done.text
    assert done.find("TLS")[1].startswith("TLSv1.")


def test_in_the_clear(dovecot, mounts):
    done = check(mounts(dovecot, start=False, tls="none"))
    assert done.status == OK
    assert done.find("TLS") == ("note", "none (tls=none): all can be read and changed on the way")


def test_it_changes_nothing(dovecot, user, mounts):
    dovecot.add_user(user)
    with dovecot.client(user) as client:
        before = client.flags()
    assert check(mounts(dovecot, user=user, start=False)).status == OK
    with dovecot.client(user) as client:
        assert client.flags() == before


def test_rights_are_told(full_dovecot, user, mounts):
    full_dovecot.add_user(user)
    done = check(mounts(full_dovecot, user=user, start=False))
    assert done.find("changes")[0] == "ok" and "rights on INBOX are" in done.text


def test_a_server_that_says_what_may_not_be(mounts, usual_plain):
    usual_plain.set_rights("alice", "INBOX", "lr")
    done = check(mounts(usual_plain, start=False))
    assert done.status == OK
    assert done.find("changes")[0] == "note"
    assert "no message can be stored, no flag can be changed" in done.find("changes")[1]


def test_a_server_without_uidplus(mounts, bare_plain):
    done = check(mounts(bare_plain, start=False))
    assert done.status == OK and "has no UIDPLUS" in done.text


def test_no_trash(mounts, messages):
    with scripted.Scripted({"INBOX": messages[:1]}) as server:
        done = check(mounts(server, start=False, writes=True))
        assert done.status == OK
        assert done.find("folders")[0] == "note" and "set trash=FOLDER" in done.text
        for option, words in (("delete=expunge", None), ("ro", None), ("trash=INBOX", None),
                              ("trash=Bin", 'no folder "Bin"'), ("folders=Other", "none matches")):
            mount = mounts(server, start=False, writes=True, options=[option])
            mark, text = check(mount).find("folders")
            assert (mark == "note") == bool(words) and (words or "") in text, (option, text)


def test_read_only(dovecot, mounts):
    done = check(mounts(dovecot, start=False, options=["ro"]))
    assert done.status == OK and done.find("changes") == (
        "note", "none will be made, since ro is set")


# ---- what does not

def test_unknown_host(mounts):
    done = check(mounts(start=False, source="imaps://alice@no-such-host.invalid"))
    step, text = done.failed()
    assert (done.status, step) == (NETWORK, "resolve") and "no-such-host.invalid" in text


def test_refused_port(mounts):
    done = check(mounts(start=False, source="imaps://a@localhost:%d" % servers.free_port()))
    step, text = done.failed()
    assert (done.status, step) == (NETWORK, "connect") and "is the port right" in text


def test_a_certificate_of_another_host(authority, mounts):
    with scripted.Scripted({"INBOX": []}, tls=authority.elsewhere()) as server:
        done = check(mounts(start=False, source="imaps://alice@localhost:%d" % server.port,
                            options=["tls_ca=%s" % authority.ca]))
    step, text = done.failed()
    assert (done.status, step) == (NETWORK, "TLS") and "another host name" in text, done.text


def test_an_unknown_authority(dovecot, mounts):
    mount = mounts(start=False, source="imaps://alice@localhost:%d" % dovecot.imaps_port)
    done = check(mount)
    step, text = done.failed()
    assert (done.status, step) == (NETWORK, "TLS") and "tls_ca=" in text
    pin = re.search("tls_fingerprint=([0-9A-F:]+)", text)[1]
    mount.arguments += ["-o", "tls_fingerprint=" + pin]
    done = check(mount)
    assert done.status == OK and "the one that tls_fingerprint= names" in done.find("TLS")[1]


def test_wrong_password(server, mounts):
    done = check(mounts(server, start=False, password="wrong"))
    step, text = done.failed()
    assert (done.status, step) == (LOGIN, "sign-in")
    assert "refused to sign in alice" in text and "app password" in text


def test_the_servers_words_do_no_harm(mounts, messages):
    with scripted.Scripted({"INBOX": messages[:1]}, {
            "greeting": "* OK \x1b[2J\u202ehi", "login": "NO a secretive \x1b]0;x\x07"}) as server:
        done = check(mounts(server, start=False, password="no such secret"))
        assert done.status == LOGIN and "\x1b" not in done.text and "\u202e" not in done.text


@pytest.mark.parametrize("silent,step", [("LIST", "folders"), ("SELECT", "changes")])
def test_a_server_that_falls_silent(mounts, messages, silent, step):
    with scripted.Scripted({"INBOX": messages[:1]}, {"silent": silent}) as server:
        done = check(mounts(server, start=False, writes=True, options=["timeout=1"]))
        assert done.status == NETWORK and done.failed()[0] == step, done.text


def test_no_password(dovecot, mounts):
    mount = mounts(dovecot, start=False)
    del mount.arguments[:2]
    assert "password_command" not in str(mount.arguments)
    done = check(mount)
    step, text = done.failed()
    assert (done.status, step) == (LOGIN, "password") and "no terminal" in text


def test_usage(mounts, dovecot):
    for arguments in (["--check"], ["--check", "a", "b"], ["--check", "--prefetch", "x", "y"]):
        done = subprocess.run([BINARY, *arguments], capture_output=True, text=True)
        assert (done.returncode, len(done.stderr.splitlines())) == (USAGE, 1), arguments


# ---- several

def test_several(dovecot, mounts, folder):
    """One that fails keeps the others from nothing; the status is its."""
    well = "tls_ca = %s\nsource = imaps://%%s@localhost:%d\n" % (dovecot.ca, dovecot.imaps_port)
    file = folder / "mailmount.conf"
    file.write_text("[bad]\n%spassword_command = echo wrong\n"
                    "[off]\nsource = imaps://x@localhost:%d\npassword_command = echo secret\n"
                    "[good]\n%spassword_command = echo secret\n"
                    % (well % "alice", servers.free_port(), well % "alice"))
    file.chmod(0o600)
    mount = mounts(start=False, source="all")
    mount.arguments = ["-o", "config=%s" % file]
    done = check(mount)
    assert done.status == LOGIN
    assert [lines[-1][:2] for lines in list(done.accounts.values())[1:]] == [
        ("FAIL", "sign-in"), ("FAIL", "connect"), ("ok", "changes")]
    assert check(mount, "good").status == OK
    for source, words in (("none", "no account \"none\""), ("alice@", "SOURCE|account")):
        done = check(mount, source)
        step, text = done.failed()
        assert (done.status, step) == (CONFIG, "configuration") and re.search(words, text), text


# ---- on a terminal

class Terminal:
    """A run of the program whose terminal we are."""

    def __init__(self, arguments, environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(arguments[0], [*map(str, arguments)], environment)
        self.shown = b""

    def read_until(self, words):
        while words not in self.shown:
            self.shown += os.read(self.fd, 4096)

    def type(self, line):
        os.write(self.fd, line + b"\n")

    def end(self):
        try:
            while more := os.read(self.fd, 4096):
                self.shown += more
        except OSError:
            pass  # all is said
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_typed_password(dovecot, mounts):
    mount = mounts(dovecot, start=False)
    terminal = Terminal([BINARY, "-o", "tls_ca=%s" % dovecot.ca, "--check", mount.source],
                        mount.environment)
    terminal.read_until(b"Password of alice at localhost: ")
    terminal.type(b"secret")
    assert terminal.end() == OK
    assert b"secret" not in terminal.shown and b"typed" in terminal.shown


@pytest.mark.parametrize("source", ["imaps://alice@no-such-host.invalid", "imaps://alice@localhost:%d"])
def test_no_password_for_nobody(mounts, source):
    """Nobody types a password for a server that is not there."""
    mount = mounts(start=False, source=source % servers.free_port() if "%" in source else source)
    mount.path.mkdir(exist_ok=True)
    for words in (["--check", mount.source], [mount.source, mount.path]):
        terminal = Terminal([BINARY, *words], mount.environment)
        assert terminal.end() == NETWORK, terminal.shown
        assert b"Password of" not in terminal.shown
        assert b"not known" in terminal.shown or b"is the port right" in terminal.shown


def test_a_password_for_a_cache(dovecot, mounts):
    """What is cached is shown without the server; the password is for later."""
    mount = mounts(dovecot)
    os.listdir(mount.path / "INBOX")
    mount.unmount()
    dead = [BINARY, "-o", "proxy=socks5://127.0.0.1:%d" % servers.free_port(),
            *[word for word in mount.arguments if not word.startswith("password_command")]]
    dead = [word for n, word in enumerate(dead) if word != "-o" or dead[n + 1:n + 2] != ["-o"]]
    terminal = Terminal([*dead, mount.source, mount.path], mount.environment)
    terminal.read_until(b"Password of alice at localhost: ")
    terminal.type(b"secret")
    assert terminal.end() == OK, terminal.shown
    assert os.listdir(mount.path)


def test_ctrl_c_at_the_password(dovecot, mounts):
    mount = mounts(dovecot, start=False)
    terminal = Terminal([BINARY, "--check", mount.source], mount.environment)
    terminal.read_until(b"Password of alice at localhost: ")
    os.write(terminal.fd, b"\x03")
    assert terminal.end() == INTERRUPTED


def test_ctrl_c_while_the_server_is_silent(mounts, messages):
    with scripted.Scripted({"INBOX": messages[:1]}, {"silent": "LIST"}) as server:
        mount = mounts(server, start=False)
        running = subprocess.Popen([BINARY, *mount.arguments, "--check", mount.source],
                                   env=mount.environment, stdout=subprocess.PIPE, text=True)
        while "sign-in" not in running.stdout.readline():
            pass
        running.send_signal(signal.SIGINT)
        assert running.wait(SLOW) == INTERRUPTED
        assert "interrupted" in running.stdout.read()
