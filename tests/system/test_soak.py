"""A minute in which everybody changes mail at once, and the network is bad; tests/bench takes half
an hour. A seed can be given: MAILMOUNT_SOAK_SEED=7 tests/check soak."""
from lib.soak import Soak


def test_soak(server, user, folder):
    server.add_user(user)
    soak = Soak(server, user, folder)
    soak.run()
    print(soak.summary())
