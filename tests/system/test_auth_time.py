"""What was good at the sign-in and is not any more: passwords, tokens, tickets, and who is asked
for them. What is cached stays readable, and no server hears more than it must."""
import os
import subprocess
import time
from types import SimpleNamespace

import pytest

from lib import scripted
from lib.mount import BINARY, mounted, wait_for
from lib.servers import PASSWORD
from lib.signin import LOGIN, NETWORK, told, works

OLD = b"Subject: an old one\r\n\r\nread before\r\n"
NEW = b"Subject: a new one\r\n\r\ncame later\r\n"


class Life:
    """A mount on a Dovecot, through a line that can be cut, with one message in its cache."""

    def __init__(self, server, user, proxy, mount):
        self.server, self.user, self.proxy, self.mount = server, user, proxy, mount
        mount.__enter__()
        self.old = mount.message("an old one")
        assert self.old.read_bytes() == OLD
        self.before = len(server.refused())

    @property
    def status(self):
        return (self.mount.path / ".mailmount/status").read_text()

    def reads_on(self):
        """What is cached is listed and read."""
        for _ in range(20):
            assert self.old.name in os.listdir(self.mount.folder_of())
            assert self.old.read_bytes() == OLD

    def hears_nothing_new(self):
        """New mail is not seen; looking for it and asking the server for what is not cached gives
        an error or the old list, soon."""
        for _ in range(5):
            assert not [n for n in os.listdir(self.mount.folder_of()) if "a new one" in n]
            os.listdir(self.mount.path)
            assert "state: online" not in self.status

    def deliver(self):
        """A new message, without IMAP: nobody signs in for it."""
        new = self.server.maildir(self.user) / "new" / "1700000000.M1P1.test"
        new.write_bytes(NEW)
        if os.getuid() == 0:
            owner = new.parent.stat()
            os.chown(new, owner.st_uid, owner.st_gid)

    def sees_the_new_one(self):
        found = wait_for(lambda: [n for n in os.listdir(self.mount.folder_of())
                                  if "a new one" in n and n.endswith(".eml")])
        assert found, self.status
        assert (self.mount.folder_of() / found[0]).read_bytes() == NEW

    def refusals(self):
        """Attempts that the server refused since it was mounted."""
        return sum(self.server.refused()[self.before:])

    def retry(self, way="--retry"):
        if way == "control":
            (self.mount.path / ".mailmount/control").write_text("retry\n")
            return 0
        return subprocess.run([BINARY, "--retry", self.mount.path], env=self.mount.environment,
                              stdin=subprocess.DEVNULL, capture_output=True).returncode


@pytest.fixture
def lives(auth_dovecot, through, signing_in, user):
    def make(mechanism="auto", **more):
        auth_dovecot.add_user(user)
        with auth_dovecot.client(user) as client:
            client.append(b"INBOX", OLD)
        proxy = through(SimpleNamespace(imap_port=auth_dovecot.imaps_port))
        mount = signing_in(auth_dovecot, mechanism, port=proxy.port, user=user, **more)
        return Life(auth_dovecot, user, proxy, mount)
    return make


# ---- passwords

def test_a_changed_password(lives):
    """The command gives the new one: one refusal of the old is all that the server sees."""
    life = lives()
    life.server.set_password(life.user, "another")
    life.mount.set_password("another")
    life.deliver()
    life.proxy.cut()
    life.sees_the_new_one()
    assert life.refusals() <= 1


@pytest.mark.parametrize("way", ["--retry", "control"])
def test_a_changed_password_that_nobody_told(lives, way):
    """It stops after one retry, and goes on when the user says so."""
    life = lives()
    life.server.set_password(life.user, "another")
    life.deliver()
    life.proxy.cut()
    assert wait_for(lambda: "sign-in refused" in life.status), life.status
    life.reads_on()
    life.hears_nothing_new()
    assert 1 <= life.refusals() <= 2
    assert PASSWORD not in life.status.replace("password", "")
    assert "--retry" in life.status
    if way == "--retry":  # still wrong: one attempt more, and its status says so
        before = life.refusals()
        assert life.retry() == LOGIN
        assert wait_for(lambda: life.refusals() == before + 1)
    life.mount.set_password("another")
    assert life.retry(way) == 0
    life.sees_the_new_one()
    assert wait_for(lambda: "sign-in refused" not in life.status), life.status


@pytest.mark.parametrize("words", [
    "[AUTHENTICATIONFAILED] wrong password", "[AUTHENTICATIONFAILED] Too many failed logins",
    "Too many failed login attempts, try again later",
    "Account temporarily locked: wrong password"])
def test_a_server_that_locks_out_who_insists(mounts, words):
    """Whoever reads on meanwhile does not make it ask again and again."""
    with scripted.Scripted({"INBOX": [OLD]}) as server:
        mount = mounts(server)
        old = mount.message("an old one")
        assert old.read_bytes() == OLD
        status = mount.path / ".mailmount/status"
        server.flaws["login"] = "NO " + words
        server.commands.clear()
        server.cut()
        assert wait_for(lambda: "sign-in refused" in status.read_text()), status.read_text()
        for _ in range(100):
            os.listdir(mount.path)
            os.listdir(mount.folder_of())
            time.sleep(0.02)
        assert len(server.sent("^(LOGIN|AUTHENTICATE) ")) == 1, server.commands
        assert old.read_bytes() == OLD and "--retry" in status.read_text()
        del server.flaws["login"]
        (mount.path / ".mailmount/control").write_text("retry\n")
        assert wait_for(lambda: "state: online" in status.read_text()), status.read_text()


def test_a_locked_keyring(lives, folder):
    """The command hangs when it is asked again: it holds up nothing but the sign-in."""
    locked, asked = folder / "locked", folder / "asked"
    life = lives(password=None, options=[
        "password_command=if [ -e %s ]; then echo $$ >%s; exec sleep 1000; fi; echo %s" % (
            locked, asked, PASSWORD)])
    locked.touch()
    life.server.set_password(life.user, "another")
    life.proxy.cut()
    assert wait_for(lambda: asked.exists() and asked.read_text().strip()), life.status
    life.reads_on()
    assert "state: offline, connecting" in life.status, life.status
    command = "/proc/" + asked.read_text().strip()
    assert os.path.exists(command)  # it hangs all the while
    life.mount.unmount()
    assert wait_for(lambda: not os.path.exists(command))
    assert life.refusals() <= 1


# ---- tokens

def test_an_expired_token(auth_dovecot, lives, folder, user):
    """The server drops the session and takes the token no more: the command is run again, once."""
    good, token, runs = auth_dovecot.tokens.good, folder / "token", folder / "runs"
    good[user + "-first"] = user
    token.write_text(user + "-first")
    life = lives(password=None, options=["token_command=echo run >>%s; cat %s" % (runs, token)])
    assert runs.read_text() == "run\n"
    del good[user + "-first"]
    good[user + "-second"] = user
    token.write_text(user + "-second")
    life.deliver()
    life.proxy.cut()
    life.sees_the_new_one()
    assert runs.read_text() == "run\n" * 2
    assert life.refusals() <= 1
    assert set(auth_dovecot.signed_in(user)[-2:]) == {"OAUTHBEARER"}


def test_a_token_that_stays_expired(auth_dovecot, lives, folder, user):
    good, token, runs = auth_dovecot.tokens.good, folder / "token", folder / "runs"
    good[user] = user
    token.write_text(user)
    life = lives(password=None, options=["token_command=echo run >>%s; cat %s" % (runs, token)])
    del good[user]
    life.proxy.cut()
    assert wait_for(lambda: "sign-in refused" in life.status), life.status
    life.reads_on()
    life.hears_nothing_new()
    assert 1 <= life.refusals() <= 2 and len(runs.read_text().split()) <= 2
    good[user] = user
    assert life.retry() == 0
    life.deliver()
    life.sees_the_new_one()


# ---- Kerberos

@pytest.fixture
def kerberos_life(realm, lives, user):
    """Signed in with a ticket."""
    realm.principal(user)
    realm.sign_in(user)
    yield lives("gssapi", password=None, options=["timeout=6"])
    realm.sign_out()


def test_an_expired_ticket(realm, kerberos_life, user):
    life = kerberos_life
    realm.sign_in(user, life="1s")
    assert wait_for(lambda: not realm.signed_in())
    life.deliver()
    life.proxy.cut()
    assert wait_for(lambda: "ticket" in life.status.lower()), life.status
    life.reads_on()
    life.hears_nothing_new()
    assert life.refusals() == 0
    realm.sign_in(user)
    assert life.retry() == 0
    life.sees_the_new_one()


@pytest.fixture
def blackhole(realm):
    realm.blackhole()
    yield
    realm.reachable()


def test_no_kdc_answers(realm, kerberos_life, user, request):
    """The ticket for the server is gone, and there is nobody to get one from."""
    life = kerberos_life
    realm.sign_in(user)
    request.getfixturevalue("blackhole")
    life.deliver()
    life.proxy.cut()
    assert wait_for(lambda: realm.asked(), 60), life.status
    life.reads_on()
    assert wait_for(lambda: "KDC" in life.status), life.status
    life.reads_on()
    life.hears_nothing_new()
    assert life.refusals() == 0
    realm.reachable()
    life.retry()
    life.sees_the_new_one()


def test_no_kdc_answers_at_start(realm, auth_dovecot, signing_in, request):
    realm.sign_in("alice")
    request.getfixturevalue("blackhole")
    line = told(signing_in(auth_dovecot, "gssapi", password=None, options=["timeout=9"]),
                [NETWORK])
    assert "KDC" in line


def test_no_kdc_is_needed(realm, auth_dovecot, signing_in, request):
    """Where there is a password too, it is taken after a while."""
    realm.sign_in("alice")
    request.getfixturevalue("blackhole")
    mount = signing_in(auth_dovecot, "auto", options=["timeout=6"])
    assert works(mount)[-1] == "SCRAM-SHA-256"
    assert realm.asked()


def test_the_end_while_no_kdc_answers(realm, kerberos_life, user, request):
    life = kerberos_life
    realm.sign_in(user)
    request.getfixturevalue("blackhole")
    life.proxy.cut()
    assert wait_for(lambda: realm.asked(), 60), life.status
    life.mount.unmount()
    assert not mounted(life.mount.path)
