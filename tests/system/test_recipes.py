"""The ways to keep a password that the manual names, each with the program itself, in a home of its
own."""
import json
import os
import re
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from lib import oauth, scripted
from lib.mount import APART, SLOW

OAUTH2 = Path("/usr/share/doc/mutt/examples/mutt_oauth2.py")
MANUAL = Path(__file__).parents[2] / "man" / "mailmount.conf.5"
PASSWORD = "correct horse battery staple 7319"
MESSAGE = (b"From: Alice <alice@example.org>\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
           b"Subject: hello\r\nMessage-ID: <hello@example.org>\r\n\r\nbody\r\n")


class Person:
    """With a home, an account "work" in the configuration, and what the recipes need."""

    def __init__(self, mount):
        self.mount = mount
        self.home = Path(mount.environment["HOME"])

    def run(self, *command, words=None):
        done = subprocess.run(command, env=self.mount.environment, input=words, text=True,
                              capture_output=True, timeout=SLOW)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def configure(self, server, recipe=None):
        """`recipe`: a line of the manual."""
        text = "[work]\nsource = imap://alice@localhost:%d\ntls = none\n" % server.port
        if recipe:
            assert recipe in re.sub(r"\\-", "-", MANUAL.read_text())
            text += recipe + "\n"
        file = self.home / "work.conf"
        file.write_text(text)
        file.chmod(0o600)
        self.mount.arguments = ["-o", "config=%s" % file]
        self.mount.source = "work"

    def mounts(self):
        with self.mount as mount:
            assert os.listdir(mount.path) == ["INBOX"]


@pytest.fixture
def letters():
    with scripted.Scripted({"INBOX": [MESSAGE]}, password=PASSWORD) as server:
        yield server


@pytest.fixture
def person(mounts):
    return Person(mounts(start=False, source="work", password=None))


@pytest.fixture
def key(person):
    """A key of gpg without a passphrase."""
    (person.home / ".gnupg").mkdir(mode=0o700)
    person.run("gpg", "--batch", "--quiet", "--passphrase", "", "--quick-gen-key",
               "alice@example.org", "default", "default")
    yield "alice@example.org"
    person.run("gpgconf", "--kill", "all")


@pytest.fixture
def keyring(person):
    """A desktop's bus with a keyring that is open."""
    bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address"],
                           env=person.mount.environment, stdout=subprocess.PIPE, text=True)
    person.mount.environment["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
    daemon = subprocess.Popen(["gnome-keyring-daemon", "--foreground", "--unlock",
                               "--components=secrets"], env=person.mount.environment,
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    daemon.stdin.write(b"the keyring's")
    daemon.stdin.close()
    person.run("gdbus", "wait", "--session", "--timeout", str(SLOW), "org.freedesktop.secrets")
    yield
    for process in (daemon, bus):
        process.terminate()
        process.wait()


def test_a_keyring(person, keyring, letters):
    person.run("secret-tool", "store", "--label=Mail", "service", "imap", "user", "alice",
               words=PASSWORD)
    person.configure(letters, "password_command = secret-tool lookup service imap user alice")
    person.mounts()


def test_pass(person, key, letters):
    person.run("pass", "init", key)
    person.run("pass", "insert", "--multiline", "mail/work", words=PASSWORD + "\nuser: alice\n")
    person.configure(letters, "password_command = pass show mail/work")
    person.mounts()


def test_gpg(person, key, letters):
    person.run("gpg", "--batch", "--quiet", "--encrypt", "--recipient", key, "--output",
               str(person.home / ".mailpass.gpg"), words=PASSWORD + "\n")
    person.configure(letters, "password_command = gpg --quiet --decrypt ~/.mailpass.gpg")
    person.mounts()


@pytest.mark.skipif(os.getuid() != 0, reason="the machine's key is root's")
def test_an_encrypted_credential(person, letters):
    """As systemd hands it to the service; the machine's key is one of our own."""
    folder = person.home / "credentials"
    folder.mkdir(mode=0o700)
    script = ("mount -t tmpfs tmpfs /var/lib/systemd && systemd-creds setup >&2 && "
              "systemd-creds encrypt --with-key=host --name=work - %s/work.encrypted && "
              "systemd-creds decrypt --name=work %s/work.encrypted %s/work"
              % (person.home, person.home, folder))
    assert "systemd-creds encrypt --name=work" in re.sub(r"\\-", "-", MANUAL.read_text())
    person.run("unshare", "-m", "--propagation", "private", "sh", "-c", APART + script,
               words=PASSWORD)
    person.mount.environment["CREDENTIALS_DIRECTORY"] = str(folder)
    person.configure(letters)
    person.mounts()


def script_of_mutt(person, key, url):
    """The script as its README tells to make it one's own, in $PATH, at another token server."""
    text = OAUTH2.read_text()
    for old, new in (("YOUR_GPG_IDENTITY", key),
                     ("https://login.microsoftonline.com/common/oauth2/v2.0/token", url)):
        assert old in text
        text = text.replace(old, new)
    script = person.home / "bin" / OAUTH2.name
    script.parent.mkdir()
    script.write_text(text)
    script.chmod(0o755)
    person.mount.environment["PATH"] = "%s:%s" % (script.parent, os.environ["PATH"])
    (person.home / ".config/mailmount").mkdir(parents=True)
    return script


def expire(person, key, file):
    """The token in mutt's file was good until yesterday."""
    kept = json.loads(person.run("gpg", "--batch", "--quiet", "--decrypt", str(file)))
    kept["access_token_expiration"] = (datetime.now() - timedelta(days=1)).isoformat()
    person.run("gpg", "--batch", "--quiet", "--yes", "--encrypt", "--recipient", key, "--output",
               str(file), words=json.dumps(kept))


@pytest.mark.skipif(not OAUTH2.exists(), reason="this system leaves out what is in /usr/share/doc")
def test_mutt_oauth2(person, key, auth_dovecot):
    """The first token is authorized by hand; one that has expired is renewed by the script."""
    with oauth.Granting("the browser's code") as granting:
        script = script_of_mutt(person, key, granting.url)
        file = person.home / ".config/mailmount/office.token"
        person.run(str(script), "--authorize", str(file),
                   words="microsoft\nauthcode\nalice@example.org\nthe browser's code\n")
        expire(person, key, file)
        auth_dovecot.tokens.good["access-2"] = "alice"
        person.configure(
            SimpleNamespace(port=auth_dovecot.imap_port),
            "token_command = mutt_oauth2.py ~/.config/mailmount/office.token")
        with person.mount as mount:
            assert "INBOX" in os.listdir(mount.path)
            mount.unmount()
        assert [form["grant_type"] for form in granting.grants] == [
            "authorization_code", "refresh_token"]
