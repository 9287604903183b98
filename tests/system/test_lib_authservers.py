"""The servers that the tests of signing in rest on, by clients that are not ours."""
import os
import subprocess

import pytest
from lib import otp
from lib.authservers import OTP_PHRASE, OTP_SEED
from lib.client import Client, ImapError
from lib.servers import PASSWORD, ROOT

DOVECOT = "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 GSSAPI".split()
CYRUS = ("PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-384 SCRAM-SHA-512 "
         "SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS SCRAM-SHA-512-PLUS GSSAPI GS2-KRB5").split()


def imtest(cyrus, server, mechanism, tls=True, password=PASSWORD):
    """Cyrus' test client. Returns (whether it signed in, the strength of the security layer)."""
    port = ["-s", "-p", server.imaps_port] if tls else ["-p", server.imap_port, "-l", 256]
    command = [ROOT / "usr/lib/cyrus/bin/imtest", "-m", mechanism, "-u", "alice", "-a", "alice",
               "-w", password, *port, "localhost"]
    done = subprocess.run(
        [*map(str, command)], input=". LOGOUT\n", capture_output=True, text=True, timeout=120,
        env={**os.environ, **server.realm.environment, "LD_LIBRARY_PATH": str(cyrus.folder / "lib")})
    lines = done.stdout.splitlines()
    strength = next(int(line.split()[-1]) for line in lines if "strength factor" in line)
    return "Authentication failed. generic failure" not in lines, strength


@pytest.mark.parametrize("server, mechanism",
                         [("auth_dovecot", m) for m in DOVECOT] + [("auth_cyrus", m) for m in CYRUS])
def test_mechanism(request, auth_cyrus, realm, server, mechanism):
    realm.sign_in("alice")
    assert imtest(auth_cyrus, request.getfixturevalue(server), mechanism)[0]


def test_a_wrong_password(auth_cyrus, auth_dovecot):
    for server in (auth_cyrus, auth_dovecot):
        assert not imtest(auth_cyrus, server, "SCRAM-SHA-256", password="wrong")[0]
    assert auth_dovecot.refused()[-1] == 1


def test_security_layers(auth_cyrus, realm):
    realm.sign_in("alice")
    assert imtest(auth_cyrus, auth_cyrus, "GSSAPI", tls=False) == (True, 256)
    assert imtest(auth_cyrus, auth_cyrus, "DIGEST-MD5", tls=False) == (True, 128)


def client(server, **more):
    return Client(server.imaps_port, user=None, ca=server.ca, **more)


def test_tokens(auth_dovecot):
    auth_dovecot.tokens.good["abc"] = "alice"
    for token, good in (("abc", True), ("abd", False), (auth_dovecot.jwt("alice"), True),
                        (auth_dovecot.jwt("alice", -30), False),
                        (auth_dovecot.jwt("alice")[:-2] + "AA", False)):
        for mechanism, said in (("XOAUTH2", "user=alice\1auth=Bearer %s\1\1"),
                                ("OAUTHBEARER", "n,a=alice,\1auth=Bearer %s\1\1")):
            said = [(said % token).encode(), b"\1"]
            with client(auth_dovecot) as connection:
                if good:
                    connection.authenticate(mechanism, lambda challenge: said.pop(0))
                else:
                    with pytest.raises(ImapError, match="AUTHENTICATIONFAILED"):
                        connection.authenticate(mechanism, lambda challenge: said.pop(0))
    assert auth_dovecot.tokens.asked.count("abd") == 2
    assert auth_dovecot.signed_in("alice")[-2:] == ["XOAUTH2", "OAUTHBEARER"]


def test_one_time_passwords(auth_dovecot):
    left = auth_dovecot.otp_left()

    def respond(challenge, less=1):
        if not challenge:
            return b"\0otp"
        assert challenge.split() == [b"otp-sha1", b"%d" % (left - 1), OTP_SEED.encode(), b"ext"]
        return b"hex:" + otp.password(OTP_PHRASE, OTP_SEED, left - less).hex().encode()
    with client(auth_dovecot) as connection:
        connection.authenticate("OTP", respond)
    assert auth_dovecot.otp_left() == left - 1
    left -= 1
    with client(auth_dovecot) as connection, pytest.raises(ImapError):
        connection.authenticate("OTP", lambda challenge: respond(challenge, 0))
    assert auth_dovecot.otp_left() == left


def test_client_certificates(auth_dovecot, auth_cyrus):
    for server in (auth_dovecot, auth_cyrus):
        with client(server, certificate=server.client_certificate("alice")) as connection:
            connection.authenticate("EXTERNAL", lambda challenge: b"")
            connection.command(b"EXAMINE INBOX")
        with client(server) as connection, pytest.raises(ImapError):
            connection.authenticate("EXTERNAL", lambda challenge: b"alice")
