"""Signing in with access tokens (RFC 7628, and XOAUTH2), at Dovecot and at servers that refuse."""
import json
from types import SimpleNamespace

import pytest

from lib.ear import Ear
from lib.signin import LOGIN, NETWORK, refused, told, works

TOKENS = ["XOAUTH2", "OAUTHBEARER"]


@pytest.fixture
def token(folder):
    """A file, and the option with which its content is the token."""
    class Token:
        path = folder / "token"
        log = folder / "runs"
        option = "token_command=echo run >>%s; cat %s" % (log, path)

        @classmethod
        def runs(cls):
            return len(cls.log.read_text().splitlines()) if cls.log.exists() else 0
    return Token


@pytest.mark.parametrize("kind", ["introspection", "jwt"])
@pytest.mark.parametrize("mechanism", [*TOKENS, "auto"])
def test_token(auth_dovecot, signing_in, token, mechanism, kind):
    auth_dovecot.tokens.good["mellon"] = "alice"
    token.path.write_text("mellon" if kind == "introspection" else auth_dovecot.jwt("alice"))
    before = len(auth_dovecot.signed_in("alice"))
    mount = signing_in(auth_dovecot, mechanism.lower(), password=None, options=[token.option])
    seen = {"OAUTHBEARER" if mechanism == "auto" else mechanism}
    assert set(works(mount)) == seen
    assert set(auth_dovecot.signed_in("alice")[before:]) == seen
    assert token.path.read_text() not in mount.log.read_text()


@pytest.mark.parametrize("kind", ["unknown", "expired", "forged"])
@pytest.mark.parametrize("mechanism", TOKENS)
def test_a_wrong_token(auth_dovecot, signing_in, token, mechanism, kind):
    wrong = {"unknown": "friend", "expired": auth_dovecot.jwt("alice", -60),
             "forged": auth_dovecot.jwt("alice")[:-4] + "AAAA"}[kind]
    token.path.write_text(wrong)
    refused(auth_dovecot, signing_in(auth_dovecot, mechanism.lower(), password=None,
                                     options=[token.option]), [wrong])
    assert token.runs() <= 2


@pytest.mark.parametrize("mechanism", TOKENS)
def test_a_long_token(auth_dovecot, signing_in, token, mechanism):
    """Some are of several kilobytes."""
    long = "".join("%04x" % i for i in range(1500))
    auth_dovecot.tokens.good[long] = "alice"
    token.path.write_text(long)
    mount = signing_in(auth_dovecot, mechanism.lower(), password=None, options=[token.option])
    assert set(works(mount)) == {mechanism}


def test_the_token_of_another(auth_dovecot, signing_in, token):
    auth_dovecot.tokens.good["mine"] = "mallory"
    token.path.write_text("mine")
    refused(auth_dovecot, signing_in(auth_dovecot, "auto", password=None,
                                     options=[token.option]), ["mine"])


# ---- servers that refuse

ERROR = json.dumps({"status": "401", "schemes": "bearer", "scope": "https://mail.example/"})


@pytest.fixture
def at_ear(authority, signing_in, token):
    """at_ear(ear): the line with which the program ends there, with the token "mellon"."""
    def end(ear, *options, statuses=(LOGIN,)):
        token.path.write_text("mellon")
        line = told(signing_in(SimpleNamespace(ca=authority.ca), "auto", port=ear.port,
                               password=None, options=[token.option, *options]), statuses)
        assert "mellon" not in line
        return line
    return end


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.certificate("server")


@pytest.mark.parametrize("mechanism, answer", [("XOAUTH2", ""), ("OAUTHBEARER", "AQ==")])
def test_an_error_instead_of_a_sign_in(at_ear, certificate, token, mechanism, answer):
    """The server tells why in a challenge, which wants its empty answer; and the line says so."""
    answers = []

    def serve(line):
        line.greet("IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=" + mechanism)
        while True:
            tag, _ = line.until("AUTHENTICATE")
            line.challenge(ERROR.encode())
            answers.append(line.read())
            line.send(tag + " NO [AUTHENTICATIONFAILED] invalid credentials")
    with Ear(serve, certificate) as ear:
        line = at_ear(ear)
        assert "invalid credentials" in line and "https://mail.example/" in line
        assert set(ear.attempts) == {"AUTHENTICATE " + mechanism}
        assert len(ear.attempts) <= 2 and 1 <= token.runs() <= 2
        assert answers == [answer] * len(ear.attempts)
        assert ear.knows("mellon")


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_endless_errors(at_ear, certificate, token, mechanism):
    rounds = []

    def serve(line):
        line.greet("IMAP4rev1 SASL-IR AUTH=" + mechanism)
        tag, _ = line.until("AUTHENTICATE")
        while True:
            line.challenge(ERROR.encode())
            rounds.append(line.read())
            if rounds[-1] == "*":
                line.send(tag + " BAD as you wish")
                tag, _ = line.until("AUTHENTICATE")
    with Ear(serve, certificate) as ear:
        at_ear(ear, "timeout=5", statuses=(NETWORK, LOGIN))
        assert 1 <= len(rounds) <= 100 and 1 <= token.runs() <= 2


def test_no_token_where_none_is_taken(at_ear, certificate):
    """A token is no password: it is not said by PLAIN."""
    def serve(line):
        line.greet("IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN AUTH=CRAM-MD5")
        line.until("AUTHENTICATE")
    with Ear(serve, certificate) as ear:
        assert "token" in at_ear(ear)
        assert not ear.attempts


def test_no_token_without_tls(authority, signing_in, token):
    """STARTTLS is stripped: what listens gets no token either."""
    def serve(line):
        line.greet("IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER")
        line.until("AUTHENTICATE")
    token.path.write_text("mellon")
    with Ear(serve) as ear:
        mount = signing_in(SimpleNamespace(ca=authority.ca), "auto", "starttls", ear.port,
                           password=None, options=[token.option])
        assert mount.run().returncode == NETWORK
        assert not ear.attempts and not ear.knows("mellon")
