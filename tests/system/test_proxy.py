"""proxy=: through SOCKS5 and HTTP CONNECT, and what goes wrong there."""
import os
import re

import pytest

from lib import mail, proxies, scripted
from lib.mount import mounted

NETWORK = 3
NOWHERE = "mail.invalid"  # a name that only the proxy can know


@pytest.fixture(params=[proxies.Socks, proxies.Connect], ids=["socks5", "http"])
def kind(request):
    return request.param


@pytest.fixture
def filled(dovecot, user, messages):
    with dovecot.client(user) as client:
        mail.deliver(client, [m for m in messages if m.mailbox == "INBOX"][:3])
    return dovecot


def source(user):
    return "imap://%s@%s" % (user, NOWHERE)


def names(mount):
    return [name for name in os.listdir(mount.path / "INBOX") if name.endswith(".eml")]


@pytest.mark.parametrize("password", [None, "hush,hush@1"], ids=["open", "password"])
def test_through_it(kind, filled, user, mounts, password):
    """The name is looked up by the proxy; its password is told nowhere."""
    with kind(filled.imap_port, password) as proxy:
        uri = proxy.uri.replace("hush,hush@1", "hush%2Chush%401")
        mount = mounts(source=source(user), options=["proxy=" + uri, "tls=none"],
                       arguments=["-d"], start=False)
        mount.start_in_foreground(())
        assert mounted(mount.path), mount.log.read_text()
        assert len(names(mount)) == 3
        assert proxy.asked and set(proxy.asked) == {(NOWHERE, 143)}
        told = mount.log.read_text() + (mount.path / ".mailmount" / "status").read_text()
        assert "hush" not in told
        mount.unmount()


def test_tls_through_it(kind, filled, user, mounts):
    """The certificate is the server's."""
    with kind(filled.imaps_port) as proxy:
        mount = mounts(source="imaps://%s@localhost:%d" % (user, filled.imaps_port),
                       options=["proxy=" + proxy.uri, "tls_ca=%s" % filled.ca])
        assert len(names(mount)) == 3
        assert set(proxy.asked) == {("localhost", filled.imaps_port)}
        mount.unmount()


def test_of_the_environment(kind, filled, user, mounts):
    with kind(filled.imap_port) as proxy:
        mount = mounts(source=source(user), options=["tls=none"],
                       environment={"ALL_PROXY": proxy.uri})
        assert len(names(mount)) == 3 and proxy.asked
        mount.unmount()


def test_of_the_desktop(filled, user, mounts):
    """By a module of GIO, which is asked for a URI of the server: libproxy here, whose own way is
    to take a proxy of the web for all else too."""
    with proxies.Connect(filled.imap_port) as proxy:
        mount = mounts(source=source(user), options=["tls=none"],
                       environment={"http_proxy": proxy.uri})
        assert len(names(mount)) == 3 and set(proxy.asked) == {(NOWHERE, 143)}
        mount.unmount()
        without = mounts(source=source(user), options=["tls=none"], start=False,
                         environment={"http_proxy": proxy.uri, "GIO_MODULE_DIR": "/nowhere"})
        before = len(proxy.asked)
        done = without.run()
        assert done.returncode == NETWORK and len(proxy.asked) == before, done.stderr


def test_never_to_this_machine(kind, filled, user, mounts):
    with kind(filled.imap_port, flaw="refuse") as proxy:
        mount = mounts(filled, user=user, tls="none", environment={"all_proxy": proxy.uri})
        assert len(names(mount)) == 3 and not proxy.asked
        mount.unmount()


@pytest.mark.parametrize("flaw,words", [
    ("refuse", "does not permit the connection|refuses the connection: 403 Not to there"),
    ("garbage", "does not speak (SOCKS5|HTTP)"),
    ("hang", "does not answer"),
    ("closed", "its proxy is out of reach: .*refused"),
    ("password", "wants a user and password"),
    ("wrong", "refuses its user or password"),
])
def test_it_fails(kind, mounts, flaw, words):
    password = "sesame" if flaw in ("password", "wrong") else None
    with kind(1, password, flaw) as proxy:
        uri = proxy.uri
        if flaw == "closed":
            proxy.__exit__()
        elif flaw == "password":
            uri = uri.replace("alice:sesame@", "")
        elif flaw == "wrong":
            uri = uri.replace("sesame", "wr0ng")
        mount = mounts(source=source("alice"), start=False,
                       options=["proxy=" + uri, "tls=none", "timeout=3"])
        done = mount.run()
    assert done.returncode == NETWORK and not mounted(mount.path), done.stderr
    assert re.search(words, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1 and NOWHERE in done.stderr
    assert not re.search("sesame|wr0ng|secret", done.stderr)


def test_preauth_on_a_plain_line(kind, mounts):
    """Who is between could say it."""
    with scripted.Scripted({}, {"greeting": "* PREAUTH welcome"}) as server:
        with kind(server.port) as proxy:
            done = mounts(source=source("alice"), start=False,
                          options=["proxy=" + proxy.uri, "tls=none"]).run()
    assert done.returncode == NETWORK and "PREAUTH" in done.stderr, done.stderr


@pytest.mark.parametrize("value", ["socks4://alice:sesame@h:1", "http://alice:sesame@h", "yes",
                                   "http://alice:sesame@h:1/path"])
def test_bad_values(mounts, value):
    mount = mounts(source=source("alice"), options=["proxy=" + value], start=False)
    done = mount.run()
    assert done.returncode in (1, 2) and "proxy" in done.stderr, done.stderr
    assert "sesame" not in done.stderr
