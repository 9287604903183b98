"""COMPRESS=DEFLATE: less on the wire, the same bytes in files."""
import pytest

from lib import mail, proxy, servers

LETTER = mail.Message("INBOX", mail.text("A line of a rather long letter.\n" * 60_000),
                      subject="Long letter")


@pytest.fixture(scope="module")
def zipping_dovecot():
    with servers.Dovecot(compress=True) as server:
        yield server


@pytest.fixture(params=["zipping_dovecot", "cyrus"])
def zipping(request, user):
    server = request.getfixturevalue(request.param)
    server.add_user(user)
    with server.client(user) as client:
        mail.deliver(client, [LETTER])
    return server


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
def test_compressed(zipping, user, mounts, tls):
    target = zipping.imaps_port if tls == "implicit" else zipping.imap_port
    with proxy.Proxy(target) as between:
        mount = mounts(zipping, user=user, port=between.port, tls=tls)
        assert mount.message("Long letter").read_bytes() == LETTER.raw
        assert between.traffic().down < len(LETTER.raw) // 10
        mount.unmount()
