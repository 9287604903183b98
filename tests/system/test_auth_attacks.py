"""Servers, and those between, that want the password: none of them gets it."""
import base64
import hashlib
import hmac
import re

import pytest

from lib.ear import Ear
from lib.mount import FORGETFUL_MODULES, mounted, wait_for

NETWORK, LOGIN = 3, 4
SECRET = "Kx7-only-once"
TLS_CASES = ["implicit", "starttls"]


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.certificate("server")


@pytest.fixture
def attacked(mounts, authority):
    """attacked(ear, statuses, words): runs the program against it. It must end with one of these
    statuses and one line that holds the words, and neither tell nor show the secret."""
    def run(ear, statuses, words, tls="implicit", options=(), **more):
        mount = mounts(start=False, port=ear.port, tls=tls, ca=authority.ca, options=[*options],
                       **{"password": SECRET, **more})
        done = mount.run()
        lines = done.stderr.strip().splitlines()
        assert done.returncode in statuses, (done.returncode, done.stderr)
        assert len(lines) == 1 and lines[0].startswith("mailmount: "), done.stderr
        assert re.search(words, lines[0], re.I), lines[0]
        assert not mounted(mount.path)
        assert wait_for(lambda: not mount.processes()), mount.processes()
        assert not ear.knows(SECRET), ear.heard
        assert SECRET not in lines[0]
        return lines[0]
    return run


def test_the_ear_hears():
    """Or else the others prove nothing."""
    ear = Ear(None)
    for line in (b"a LOGIN alice Kx7-only-once\r\n", b"AGFsaWNlAEt4Ny1vbmx5LW9uY2U=\r\n",
                 b"x AUTHENTICATE PLAIN AGFsaWNlAEt4Ny1vbmx5LW9uY2U=\r\n",
                 SECRET.encode().hex().encode()):
        ear.heard = [b"1 CAPABILITY\r\n"]
        assert not ear.knows(SECRET)
        ear.heard.append(line)
        assert ear.knows(SECRET)


# ---- before TLS

PLAIN_LINE = "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN AUTH=CRAM-MD5"


@pytest.mark.parametrize("answer", [None, "NO not today", "BAD what is that", "OK"],
                         ids=["not offered", "NO", "BAD", "OK and no handshake"])
def test_stripped_starttls(attacked, answer):
    def serve(line):
        line.greet(PLAIN_LINE + (" STARTTLS" if answer else ""))
        tag, _ = line.until("STARTTLS")
        line.send("%s %s" % (tag, answer or "BAD no"))
        if answer == "OK":
            line.send("* OK still in the clear", "* CAPABILITY " + PLAIN_LINE)
    with Ear(serve) as ear:
        attacked(ear, [NETWORK], "tls", tls="starttls", options=["timeout=5"])
        assert not ear.attempts


@pytest.mark.parametrize("injected", [
    "* CAPABILITY IMAP4rev1 AUTH=PLAIN", "* PREAUTH go on", "a1 OK signed in\r\na2 OK signed in",
    "* BYE look elsewhere"])
def test_bytes_before_the_handshake(attacked, certificate, injected):
    """They are not taken as said in TLS: it ends before anything is said there."""
    def serve(line):
        line.greet(PLAIN_LINE + " STARTTLS")
        tag, _ = line.until("STARTTLS")
        line.send(tag + " OK go", injected)
        line.encrypt(certificate)
        line.until("AUTHENTICATE")
    with Ear(serve) as ear:
        attacked(ear, [NETWORK], "tls|before", tls="starttls", options=["timeout=5"])
        assert not ear.attempts


def test_preauth_on_a_plain_line(attacked, certificate):
    """It would keep STARTTLS from being sent, and show what is written to whoever listens."""
    def serve(line):
        line.send("* PREAUTH [CAPABILITY %s STARTTLS] welcome" % PLAIN_LINE)
        tag, _ = line.until("STARTTLS")
        line.send(tag + " OK go")
        line.encrypt(certificate)
    with Ear(serve) as ear:
        attacked(ear, [NETWORK], "preauth|tls", tls="starttls", options=["timeout=5"])
        assert not ear.attempts
        assert not [x for x in ear.lines if re.search("LIST|SELECT|EXAMINE|APPEND", x)]


# ---- certificates

@pytest.mark.parametrize("tls", TLS_CASES)
@pytest.mark.parametrize("kind, words", [
    ("elsewhere", "elsewhere|host|name|match"), ("expired", "expired"),
    ("self_signed", "self-signed|self signed|not trusted")])
def test_a_bad_certificate(attacked, authority, tls, kind, words):
    cert = getattr(authority, kind)()

    def serve(line):
        if tls == "starttls":
            line.greet(PLAIN_LINE + " STARTTLS")
            tag, _ = line.until("STARTTLS")
            line.send(tag + " OK go")
            line.encrypt(cert)
        line.greet("IMAP4rev1 SASL-IR AUTH=PLAIN")
        tag, _ = line.until("AUTHENTICATE")
        line.send(tag + " OK thank you")
    with Ear(serve, cert if tls == "implicit" else None) as ear:
        attacked(ear, [NETWORK], words, tls=tls)
        assert not ear.attempts
        assert ear.failed or wait_for(lambda: ear.failed, 10), ear.lines


# ---- fewer mechanisms than there are

def test_only_plain_on_a_plain_line(attacked):
    """tls=none lets the password through, but not where a better way was asked for."""
    def serve(line):
        line.greet("IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN")
        tag, _ = line.until("AUTHENTICATE")
        line.send(tag + " OK thank you")
    for mechanism in ("scram-sha-256", "cram-md5", "gssapi", "scram-sha-256-plus"):
        with Ear(serve) as ear:
            attacked(ear, [LOGIN], "PLAIN, LOGIN", tls="none", options=["auth=" + mechanism])
            assert not ear.attempts


def test_login_disabled(attacked, certificate):
    def serve(line):
        line.greet("IMAP4rev1 SASL-IR LOGINDISABLED AUTH=X-OWN")
        line.until("LOGIN")
    for options in ([], ["auth=login"]):
        with Ear(serve, certificate) as ear:
            attacked(ear, [LOGIN], "X-OWN", options=options)
            assert not ear.attempts


@pytest.mark.parametrize("answer", ["NO [AUTHENTICATIONFAILED] no", "NO no", "BAD no"])
@pytest.mark.parametrize("tls", ["implicit", "none"])
def test_a_refused_proof_is_not_followed_by_the_password(attacked, certificate, answer, tls):
    def serve(line):
        line.greet("IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN")
        for _ in range(9):
            tag, command = line.until("AUTHENTICATE" if line.ear.attempts else "")
            line.send("%s %s" % (tag, answer))
    with Ear(serve, certificate if tls == "implicit" else None) as ear:
        attacked(ear, [LOGIN], "localhost", tls=tls)
        assert 1 <= len(ear.attempts) <= 2, ear.attempts
        assert set(ear.attempts) == {"AUTHENTICATE SCRAM-SHA-256"}


# ---- SCRAM (RFC 5802), by servers that know its words but not the password

class Scram:
    """The server's side, as far as it can be played without the password."""

    def __init__(self, line, tag, command, rounds=4096):
        self.line, self.tag = line, tag
        words = command.split()
        if len(words) < 3:
            line.send("+ ")
        first = line.response() if len(words) < 3 else base64.b64decode(words[2])
        self.flag, _, self.bare = first.decode().split(",", 2)
        self.nonce = re.search("r=([^,]+)", self.bare)[1] + "server"
        self.salt, self.rounds = b"salt" * 4, rounds

    def ask(self):
        """Returns the client's final message."""
        self.first = "r=%s,s=%s,i=%d" % (self.nonce, "c2FsdHNhbHRzYWx0c2FsdA==", self.rounds)
        self.line.challenge(self.first.encode())
        return self.line.response().decode()

    def signature(self, final, password):
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), self.salt, self.rounds)
        said = ",".join((self.bare, self.first, final.rpartition(",p=")[0]))
        key = hmac.digest(salted, b"Server Key", "sha256")
        return hmac.digest(key, said.encode(), "sha256")


SCRAM_LINE = "IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN"


def prove(line, tag, final, scram, how):
    """Ends the exchange without the proof that is due, or with a wrong one."""
    proof = base64.b64encode(scram.signature(final, "guessed")).decode()
    if how == "wrong proof":
        line.challenge(b"v=" + proof.encode())
        line.read()
    elif how == "empty proof":
        line.challenge(b"v=")
        line.read()
    elif how == "empty challenge":
        line.send("+ ")
        line.read()
    line.send(tag + " OK welcome")


@pytest.mark.parametrize("how", ["at once", "without a proof", "wrong proof", "empty proof",
                                 "empty challenge"])
def test_a_server_that_cannot_prove_itself(attacked, certificate, how):
    """It says OK without knowing the password: it would be another mailbox, or a forged one."""
    def serve(line):
        line.greet(SCRAM_LINE)
        while True:
            tag, command = line.until("AUTHENTICATE")
            scram = Scram(line, tag, command)
            if how == "at once":
                line.send(tag + " OK welcome")
            else:
                prove(line, tag, scram.ask(), scram, how)
    with Ear(serve, certificate) as ear:
        attacked(ear, [NETWORK, LOGIN], "SCRAM|prove|true server|itself", options=["timeout=10"])
        assert set(ear.attempts) == {"AUTHENTICATE SCRAM-SHA-256"} and len(ear.attempts) <= 2
        assert not [x for x in ear.lines if re.search("LIST|SELECT|EXAMINE|NAMESPACE|ENABLE", x)]


@pytest.mark.parametrize("proof", [None, b"rspauth=" + b"0" * 32, b"rspauth="])
def test_an_unproved_digest(attacked, certificate, proof):
    """The same with DIGEST-MD5 (RFC 2831, 2.1.3)."""
    def serve(line):
        line.greet("IMAP4rev1 LOGINDISABLED AUTH=DIGEST-MD5")
        while True:
            tag, _ = line.until("AUTHENTICATE")
            line.challenge(b'realm="localhost",nonce="bm9uY2U=",qop="auth",charset=utf-8,'
                           b'algorithm=md5-sess')
            line.read()
            if proof is not None:
                line.challenge(proof)
                line.read()
            line.send(tag + " OK welcome")
    with Ear(serve, certificate) as ear:
        attacked(ear, [NETWORK, LOGIN], "DIGEST-MD5|prove", options=["timeout=10"],
                 environment=FORGETFUL_MODULES["digest-md5"])
        assert set(ear.attempts) == {"AUTHENTICATE DIGEST-MD5"} and len(ear.attempts) <= 2
        assert not [x for x in ear.lines if re.search("LIST|SELECT|EXAMINE|NAMESPACE|ENABLE", x)]


def test_a_server_that_can(mounts, authority, certificate):
    """The same with the right proof is signed in to: the tests above fail for the right reason."""
    def serve(line):
        line.greet(SCRAM_LINE)
        tag, command = line.until("AUTHENTICATE")
        scram = Scram(line, tag, command)
        final = scram.ask()
        line.challenge(b"v=" + base64.b64encode(scram.signature(final, SECRET)))
        line.read()
        line.send(tag + " OK welcome")
        line.until("LIST")
        line.close()
    with Ear(serve, certificate) as ear:
        mount = mounts(start=False, port=ear.port, ca=authority.ca, password=SECRET)
        mount.run()
        assert [x for x in ear.lines if " LIST " in x], mount.log.read_text()
        assert not ear.knows(SECRET)


@pytest.mark.parametrize("first", ["r=other,s=c2FsdA==,i=4096", "r=%s,s=c2FsdA==,i=0",
                                   "r=%s,s=c2FsdA==,i=-1", "r=%s,i=4096", "r=%s,s=c2FsdA==",
                                   "m=x,r=%s,s=c2FsdA==,i=4096", "", "r=%s,s=,i=4294967295",
                                   "r=%s,s=c2FsdA==,i=4294967295"])
def test_nonsense_from_a_server(attacked, certificate, first):
    """Among it a count of rounds that would take hours."""
    def serve(line):
        line.greet(SCRAM_LINE)
        while True:
            tag, command = line.until("AUTHENTICATE")
            scram = Scram(line, tag, command)
            line.challenge((first % scram.nonce if "%" in first else first).encode())
            answer = line.read()
            line.send(tag + " " + ("NO no" if answer != "*" else "BAD as you wish"))
    with Ear(serve, certificate) as ear:
        attacked(ear, [NETWORK, LOGIN], "localhost", options=["timeout=5"])
        assert set(ear.attempts) == {"AUTHENTICATE SCRAM-SHA-256"} and len(ear.attempts) <= 2


# ---- channel binding

def test_a_broken_binding(attacked, certificate):
    """A relay in the middle: the bound proof does not fit. Neither an unbound one nor the password
    comes after it."""
    def serve(line):
        line.greet("IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=PLAIN")
        while True:
            tag, command = line.until("AUTHENTICATE")
            final = Scram(line, tag, command).ask()
            line.ear.bindings.append(final.split(",")[0])
            line.send(tag + " NO channel bindings do not match")
    with Ear(serve, certificate) as ear:
        ear.bindings = []
        attacked(ear, [LOGIN], "SCRAM-SHA-256-PLUS|binding")
        assert set(ear.attempts) == {"AUTHENTICATE SCRAM-SHA-256-PLUS"}, ear.attempts
        assert len(ear.attempts) <= 4 and len(set(ear.bindings)) <= 2, ear.bindings


def test_a_hidden_binding(attacked, certificate):
    """Who takes the -PLUS out of the list is found out by the true server: the client says that it
    could have bound (RFC 5802, 6: "y")."""
    flags = []

    def serve(line):
        line.greet("IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256")
        while True:
            tag, command = line.until("AUTHENTICATE")
            flags.append(Scram(line, tag, command).flag)
            line.send(tag + " NO no")
    with Ear(serve, certificate) as ear:
        attacked(ear, [LOGIN], "localhost")
    assert set(flags) == {"y"}


# ---- challenges

@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-256",
                                       "OTP", "GSSAPI", "EXTERNAL"])
def test_endless_challenges(attacked, certificate, mechanism, authority):
    """The server asks on and on; by a mechanism that may give the password it is given once."""
    rounds = []

    def serve(line):
        line.greet("IMAP4rev1 LOGINDISABLED AUTH=" + mechanism)
        tag, _ = line.until("AUTHENTICATE")
        while True:
            line.challenge(b"go on %d" % len(rounds))
            rounds.append(line.read())
            if rounds[-1] == "*":
                line.send(tag + " BAD as you wish")
                tag, _ = line.until("AUTHENTICATE")
    with Ear(serve, certificate) as ear:
        ear.knows = lambda secret: mechanism not in ("PLAIN", "LOGIN") and Ear.knows(ear, secret)
        attacked(ear, [NETWORK, LOGIN], "localhost", options=[
            "timeout=5", "auth=" + mechanism.lower()])
        assert len(rounds) <= 100


def test_a_huge_challenge(attacked, certificate):
    def serve(line):
        line.greet("IMAP4rev1 SASL-IR AUTH=CRAM-MD5")
        tag, _ = line.until("AUTHENTICATE")
        line.socket.sendall(b"+ ")
        while True:
            line.socket.sendall(b"QUJD" * 65536)
    with Ear(serve, certificate) as ear:
        attacked(ear, [NETWORK, LOGIN], "localhost", options=["auth=cram-md5", "timeout=20"])


# ---- a server that repeats what it heard

ECHOED = [("plain", "AUTH=PLAIN SASL-IR"), ("plain", "AUTH=PLAIN"), ("login", ""),
          ("login", "LOGINDISABLED AUTH=LOGIN"), ("xoauth2", "AUTH=XOAUTH2 SASL-IR"),
          ("oauthbearer", "AUTH=OAUTHBEARER")]


def echoes(line, form):
    """Refuses to sign in, with all that was said to that end in its words."""
    tag, command = line.until("LOGIN" if "AUTH=" not in line.capabilities else "AUTHENTICATE")
    said = [command]
    while re.match("AUTHENTICATE", command, re.I) and len(said) < 3 and len(command.split()) < 3:
        line.challenge(b"Password:")
        said.append(line.read())
        if "AUTH=LOGIN" not in line.capabilities:
            break
    words = " ".join(said)
    line.send("* NO [ALERT] you said " + words, "* OK " + words.swapcase(),
              "* OK " + words[:-3] + "...", tag + " " + form % words)


@pytest.mark.parametrize("mechanism, offered, secret", [
    (mechanism, offered, secret) for mechanism, offered in ECHOED
    for secret in ([SECRET] if "auth" in mechanism else [SECRET, 'Kx7 "of" \\9', "p4ss"])])
def test_the_secret_is_not_shown_where_it_is_repeated(mounts, authority, certificate, mechanism,
                                                      offered, secret):
    token = "auth" in mechanism

    def serve(line):
        line.greet("IMAP4rev1 " + offered)
        echoes(line, "BAD cannot parse: %s")

    with Ear(serve, certificate) as ear:
        options = ["auth=" + mechanism]
        if token:
            options.append("token_command=echo " + secret)
        mount = mounts(start=False, port=ear.port, ca=authority.ca, options=options,
                       password=None if token else secret)
        mount.arguments = ["-d", *mount.arguments]
        assert mount.run().returncode == LOGIN, mount.log.read_text()
        assert ear.heard and "cannot parse: " in mount.log.read_text()
        shown = Ear(None)
        shown.heard = [octets for octets in mount.log.read_bytes().splitlines()
                       if b"_command=" not in octets]
        parts = [secret, secret.replace("\\", "\\\\").replace('"', '\\"'), secret.swapcase()]
        for part in parts:
            assert not shown.knows(part), mount.log.read_text()
        for line in ear.lines:
            for word in re.findall(r"[A-Za-z0-9+/]{8,}=*", line.partition(" ")[2] or line):
                if word.upper() not in ("AUTHENTICATE", "OAUTHBEARER", "CAPABILITY", "XOAUTH2"):
                    assert word.lower() not in mount.log.read_text().lower(), word
