"""A minute in which everybody changes mail at once, and the network is bad; tests/bench takes half
an hour. A seed can be given: MAILMOUNT_SOAK_SEED=7 tests/check soak."""
import pytest

from lib import servers
from lib.soak import Soak

# no MOVE, and nothing that tells what has changed
PLAIN = "IMAP4rev1 SASL-IR LITERAL+ UIDPLUS IDLE NAMESPACE CHILDREN"


@pytest.fixture(params=["dovecot", "cyrus", "plain"])
def soaked(request):
    if request.param != "plain":
        yield request.getfixturevalue(request.param)
        return
    with servers.Dovecot(offers=PLAIN) as server:
        yield server


def test_soak(soaked, user, folder):
    soaked.add_user(user)
    soak = Soak(soaked, user, folder)
    soak.run()
    print(soak.summary())
