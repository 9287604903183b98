"""Signing in by each mechanism, at real servers: it is used, and a wrong secret ends soon."""
import base64
import os
import re
import subprocess

import pytest

from lib.authservers import OTP_PHRASE
from lib.ear import Ear
from lib.mount import BINARY, FORGETFUL_MODULES, SLOW, mounted, wait_for
from lib.servers import PASSWORD
from lib.signin import LOGIN, NETWORK, refused, told, used, works
from lib.typist import Typist

PASSWORDS = "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256".split()
SCRAM_SHORT = ["SCRAM-SHA-384", "SCRAM-SHA-512"]
PLUS = ["SCRAM-SHA-%s-PLUS" % n for n in ("1", "256", "384", "512")]


@pytest.fixture
def ticket(realm):
    """alice has a ticket."""
    realm.sign_in("alice")
    yield
    realm.sign_out()


@pytest.fixture
def no_ticket(realm):
    realm.sign_out()


# ---- Dovecot

@pytest.mark.parametrize("mechanism", PASSWORDS)
def test_dovecot(auth_dovecot, signing_in, mechanism):
    before = len(auth_dovecot.signed_in("alice"))
    assert set(works(signing_in(auth_dovecot, mechanism.lower()))) == {mechanism}
    # the server calls the LOGIN command PLAIN
    seen = {"PLAIN" if mechanism == "LOGIN" else mechanism}
    assert set(auth_dovecot.signed_in("alice")[before:]) == seen


@pytest.mark.parametrize("mechanism", PASSWORDS)
def test_dovecot_with_a_wrong_password(auth_dovecot, signing_in, mechanism):
    line = refused(auth_dovecot, signing_in(auth_dovecot, mechanism.lower(),
                                            password="not the one"))
    assert re.search("localhost refused to sign in alice|password", line), line


def test_kerberos_at_dovecot(auth_dovecot, signing_in, realm, ticket):
    before = len(auth_dovecot.signed_in("alice"))
    assert set(works(signing_in(auth_dovecot, "gssapi", password=None))) == {"GSSAPI"}
    assert set(auth_dovecot.signed_in("alice")[before:]) == {"GSSAPI"}
    assert "imap/localhost" in realm.services()


def test_a_ticket_of_another(auth_dovecot, signing_in, realm):
    realm.principal("mallory")
    realm.sign_in("mallory")
    refused(auth_dovecot, signing_in(auth_dovecot, "gssapi", password=None))
    realm.sign_out()


@pytest.mark.parametrize("server, mechanism", [
    ("auth_dovecot", "gssapi"), ("auth_cyrus", "gssapi"), ("auth_cyrus", "gs2-krb5")])
def test_no_ticket(request, signing_in, no_ticket, server, mechanism):
    line = told(signing_in(request.getfixturevalue(server), mechanism, password=None))
    assert re.search("ticket|kinit|Kerberos|credentials", line, re.I), line


# ---- a ticket, or else the password

@pytest.fixture
def asking(folder):
    """asking(password): an option that gives it, and notes when it was asked for."""
    class Asking:
        runs = folder / "runs"

        @classmethod
        def option(cls, password):
            return "password_command=echo run >>%s; echo %s" % (cls.runs, password)

        @classmethod
        def count(cls):
            return len(cls.runs.read_text().split()) if cls.runs.exists() else 0
    return Asking


@pytest.mark.parametrize("server", ["auth_dovecot", "auth_cyrus"])
def test_a_ticket_spares_the_question(request, signing_in, ticket, server):
    """There is no terminal, so that asking would end it."""
    mount = signing_in(request.getfixturevalue(server), "auto", password=None)
    assert set(works(mount)) == {"GSSAPI"}


def test_a_ticket_spares_the_command(auth_dovecot, signing_in, ticket, asking):
    mount = signing_in(auth_dovecot, "auto", password=None, options=[asking.option(PASSWORD)])
    assert set(works(mount)) == {"GSSAPI"}
    assert asking.count() == 0


def test_a_ticket_at_a_terminal(auth_dovecot, signing_in, ticket):
    """Nothing is asked; without the ticket it is, before the program leaves the terminal."""
    mount = signing_in(auth_dovecot, "auto", password=None)
    typist = Typist(mount)
    assert typist.end() == 0, typist.look()
    assert mounted(mount.path) and b"Password" not in typist.look()
    mount.unmount()


def test_a_ticket_when_it_is_tried_out(auth_dovecot, signing_in, ticket):
    mount = signing_in(auth_dovecot, "auto", password=None)
    done = subprocess.run([BINARY, *mount.arguments, "--check", mount.source], timeout=SLOW,
                          env=mount.environment, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, start_new_session=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search("ok +password +none is needed: there is a Kerberos ticket", done.stdout)
    assert re.search("ok +sign-in +.*GSSAPI", done.stdout), done.stdout


def test_a_ticket_that_is_not_taken(auth_dovecot, signing_in, realm, ticket, asking):
    """It is another's, who may not be alice here: then the password, which is asked for once."""
    realm.principal("eve")
    realm.sign_in("eve")
    mount = signing_in(auth_dovecot, "auto", password=None, options=[asking.option(PASSWORD)])
    tried = works(mount)
    assert tried[0] == "GSSAPI" and tried[-1] == "SCRAM-SHA-256", tried
    assert asking.count() == 1


def test_another_ticket_at_a_terminal(auth_dovecot, signing_in, realm, ticket):
    realm.principal("ivan")
    realm.sign_in("ivan")
    mount = signing_in(auth_dovecot, "auto", password=None)
    typist = Typist(mount)
    typist.expect(b"Password of alice at localhost: ")
    typist.type(PASSWORD.encode() + b"\n")
    assert typist.end() == 0, typist.look()
    assert mounted(mount.path)
    mount.unmount()


def test_a_ticket_where_none_is_taken(authority, mounts, realm, ticket):
    """The server offers no Kerberos: it hears nothing before there is a password."""
    def serve(line):
        line.greet("IMAP4rev1 SASL-IR AUTH=PLAIN")
        line.until("AUTHENTICATE")
        line.close()
    with Ear(serve, authority.certificate("server")) as ear:
        mount = mounts(start=False, port=ear.port, tls="implicit", ca=authority.ca, password=None,
                       environment={**realm.environment, **FORGETFUL_MODULES["auto"]})
        line = told(mount)
        assert "no terminal to ask for the password" in line and not ear.attempts


def test_a_wrong_password_after_a_ticket(auth_dovecot, signing_in, realm, ticket, asking):
    """A ticket that is not taken and a wrong password are no more refusals than two."""
    realm.principal("oscar")
    realm.sign_in("oscar")
    mount = signing_in(auth_dovecot, "auto", password=None, options=[asking.option("wrong")])
    line = told(mount)
    assert "localhost refused to sign in alice" in line, line


def test_one_time_passwords(auth_dovecot, signing_in):
    left, before = auth_dovecot.otp_left(), len(auth_dovecot.signed_in("otp"))
    mount = signing_in(auth_dovecot, "otp", user="otp", password=OTP_PHRASE)
    assert set(works(mount)) == {"OTP"}
    signed_in = auth_dovecot.signed_in("otp")[before:]
    assert set(signed_in) == {"OTP"}
    assert auth_dovecot.otp_left() == left - len(signed_in)


def test_a_wrong_phrase(auth_dovecot, signing_in):
    left = auth_dovecot.otp_left()
    refused(auth_dovecot, signing_in(auth_dovecot, "otp", user="otp", password="not the one"),
            [OTP_PHRASE, "not the one"])
    assert auth_dovecot.otp_left() == left


# ---- certificates of clients

@pytest.fixture(scope="session")
def shown(auth_dovecot, auth_cyrus):
    """{server's name: options with which alice's certificate is shown}."""
    def options(server):
        cert, key = server.client_certificate("alice")
        return ["tls_cert=%s" % cert, "tls_key=%s" % key]
    return {server.name: options(server) for server in (auth_dovecot, auth_cyrus)}


@pytest.mark.parametrize("server", ["auth_dovecot", "auth_cyrus"])
def test_client_certificate(request, signing_in, shown, server):
    server = request.getfixturevalue(server)
    mount = signing_in(server, "external", password=None, options=shown[server.name])
    assert set(works(mount)) == {"EXTERNAL"}


def test_certificate_and_key_in_one_file(auth_dovecot, signing_in, folder):
    both = folder / "both.pem"
    both.touch(0o600)
    both.write_bytes(b"".join(p.read_bytes() for p in auth_dovecot.client_certificate("alice")))
    mount = signing_in(auth_dovecot, "external", password=None,
                       options=["tls_cert=%s" % both])
    assert set(works(mount)) == {"EXTERNAL"}


def test_a_certificate_of_another_authority(auth_dovecot, authority, signing_in):
    cert, key = authority.client("alice")
    refused(auth_dovecot, signing_in(auth_dovecot, "external", options=[
        "tls_cert=%s" % cert, "tls_key=%s" % key]))


@pytest.mark.parametrize("apart", [True, False])
def test_a_key_that_others_can_read(auth_dovecot, signing_in, folder, apart):
    """It is refused, as such a password_file is."""
    cert, key = auth_dovecot.client_certificate("alice")
    open_ = folder / "open.pem"
    open_.write_bytes((b"" if apart else cert.read_bytes()) + key.read_bytes())
    open_.chmod(0o640)
    options = ["tls_cert=%s" % cert, "tls_key=%s" % open_] if apart else ["tls_cert=%s" % open_]
    line = told(signing_in(auth_dovecot, "external", password=None, options=options), [NETWORK])
    assert "%s %s: open to other users; chmod 600 it" % (
        "tls_key" if apart else "tls_cert", open_) in line


def test_no_certificate(auth_dovecot, signing_in):
    assert re.search("certificate.*tls_cert", told(signing_in(auth_dovecot, "external")))


# ---- Cyrus

@pytest.mark.parametrize("mechanism", PASSWORDS + SCRAM_SHORT + PLUS)
def test_cyrus(auth_cyrus, signing_in, mechanism):
    assert set(works(signing_in(auth_cyrus, mechanism.lower()))) == {mechanism}


@pytest.mark.parametrize("mechanism", PASSWORDS + SCRAM_SHORT)
def test_cyrus_with_a_wrong_password(auth_cyrus, signing_in, through, mechanism):
    """In the clear, so that what is sent can be counted."""
    proxy = through(auth_cyrus)
    line = told(signing_in(auth_cyrus, mechanism.lower(), "none", proxy.port,
                           password="not the one"))
    assert re.search("localhost refused to sign in alice|password", line), line
    attempts = re.findall(rb"AUTHENTICATE |LOGIN ", proxy.heard)
    assert 1 <= len(attempts) <= 2, proxy.heard


@pytest.mark.parametrize("mechanism", PLUS)
def test_a_wrong_password_with_a_bound_channel(auth_cyrus, signing_in, mechanism):
    """A way of binding that the server does not take may cost one more attempt, without a password;
    without the binding there is none."""
    mount = signing_in(auth_cyrus, mechanism.lower(), password="not the one",
                       arguments=["-d"])
    done = mount.start_in_foreground([])
    assert wait_for(lambda: mount.process.poll() is not None) is True
    assert mount.process.poll() == LOGIN and not mounted(mount.path), done.stderr
    attempts = used(mount.log.read_text())
    assert set(attempts) == {mechanism} and len(attempts) <= 3, attempts


@pytest.mark.parametrize("mechanism", ["GSSAPI", "GS2-KRB5"])
def test_kerberos_at_cyrus(auth_cyrus, signing_in, ticket, mechanism):
    assert set(works(signing_in(auth_cyrus, mechanism.lower(), password=None))) == {mechanism}


@pytest.mark.parametrize("mechanism", ["GSSAPI", "DIGEST-MD5"])
def test_security_layer(auth_cyrus, signing_in, through, ticket, mechanism):
    """Without TLS the layer hides all that comes after the sign-in, big messages among it."""
    noise = os.urandom(1 << 21)
    big = b"Subject: by %s\r\n\r\n" % mechanism.encode() + (
        base64.encodebytes(noise).replace(b"\n", b"\r\n"))
    with auth_cyrus.client() as client:
        client.append(b"INBOX", big)
    proxy = through(auth_cyrus)
    mount = signing_in(auth_cyrus, mechanism.lower(), "none", proxy.port, arguments=["-d"])
    assert mount.start_in_foreground([]).returncode == 0 and mounted(mount.path)
    assert mount.message("by " + mechanism).read_bytes() == big
    mount.unmount()
    assert set(used(mount.log.read_text())) == {mechanism}
    assert b"AUTHENTICATE " + mechanism.encode() in proxy.heard
    assert b"FETCH" in mount.log.read_bytes() and b"FETCH" not in proxy.heard
    assert proxy.traffic().down > len(noise)  # what base64 adds, COMPRESS takes away


# ---- the strongest

@pytest.mark.parametrize("offered, tls, first", [
    ("PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 OTP", True, "SCRAM-SHA-256"),
    ("PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-512 SCRAM-SHA-256", True, "SCRAM-SHA-512"),
    ("SCRAM-SHA-512 SCRAM-SHA-1-PLUS PLAIN", True, "SCRAM-SHA-1-PLUS"),
    ("SCRAM-SHA-512 SCRAM-SHA-1-PLUS PLAIN", False, "SCRAM-SHA-512"),
    ("LOGIN PLAIN CRAM-MD5 DIGEST-MD5", True, "PLAIN"),
    ("LOGIN CRAM-MD5 DIGEST-MD5", True, "LOGIN"),
    ("CRAM-MD5 X-OWN", True, "CRAM-MD5"),
    ("EXTERNAL GSSAPI XOAUTH2 OAUTHBEARER PLAIN", True, "PLAIN"),
    ("NTLM X-OWN", True, None),
], ids=lambda v: v if isinstance(v, str) else {True: "tls", False: "plain"}.get(v))
def test_strongest(authority, mounts, no_ticket, realm, offered, tls, first):
    """What is offered, in whatever order; what cannot be done here is passed over."""
    def serve(line):
        line.greet("IMAP4rev1 SASL-IR LOGINDISABLED " + " ".join(
            "AUTH=" + name for name in offered.split()))
        line.until("AUTHENTICATE")
        line.send("* BYE enough")
        line.close()
    certificate = authority.certificate("server") if tls else None
    with Ear(serve, certificate) as ear:
        mount = mounts(start=False, port=ear.port, tls="implicit" if tls else "none",
                       ca=authority.ca, environment=realm.environment)
        assert mount.run().returncode
        if first:
            assert ear.attempts[0] == "AUTHENTICATE " + first
        else:
            assert not ear.attempts and "NTLM" in mount.log.read_text()


def test_the_strongest_of_real_servers(auth_dovecot, auth_cyrus, signing_in, shown, realm, folder,
                                       no_ticket):
    assert set(works(signing_in(auth_dovecot, "auto"))) == {"SCRAM-SHA-256"}
    assert set(works(signing_in(auth_cyrus, "auto"))) == {"SCRAM-SHA-512-PLUS"}
    realm.sign_in("alice")
    assert set(works(signing_in(auth_dovecot, "auto"))) == {"GSSAPI"}
    assert set(works(signing_in(auth_dovecot, "auto", options=shown["dovecot"]))) == {"EXTERNAL"}
    realm.sign_out()


def test_another_mechanism_is_not_taken(auth_dovecot, signing_in):
    """What was asked for by name and is not offered ends it, whatever else there is."""
    before = len(auth_dovecot.signed_in("alice"))
    line = told(signing_in(auth_dovecot, "scram-sha-512"))
    assert "SCRAM-SHA-256" in line  # it says what is offered
    assert auth_dovecot.signed_in("alice")[before:] == []
