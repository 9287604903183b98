"""Mounting again and listing one big mailbox of which ten messages changed, in each tier."""
from pathlib import Path

from . import servers
from .mount import Mount, wait_for
from .others import Other
from .proxy import Proxy
from .trips import MOST, TIERS, asked, change_ten, list_changed


def flagged(mount):
    return len(list((mount.path / "INBOX/.mailmount/flags/flagged").iterdir()))


def bench_tier(server, folder, user, tier, number, count, letter, row):
    with Proxy(server.imap_port, hide=TIERS[tier]) as proxy:
        mount = Mount(folder / tier, server, user=user, port=proxy.port, tls="none",
                      options=["poll=3600"])
        with mount:
            assert len(list((mount.path / "INBOX").iterdir())) == 2 * count
        first = count // 2 + 100 * number  # of the old ones, others for each tier
        with Other(server, user) as other:
            change_ten(other, "INBOX", range(first, first + 7),
                       [letter(count + 3 * number + i) for i in range(3)])
        spent, down, names = list_changed(mount, proxy)
        try:
            row("ten of %d changed, %s" % (count, tier), len(spent), "",
                "round trips after signing in (at most %d), %d bytes" % (MOST, down))
            assert asked(b"".join(spent)) == tier, spent
            assert len(spent) <= MOST, spent
            assert len(names) == 2 * count, len(names)
            # the flags of old messages are compared behind the answer where there is no CONDSTORE
            assert wait_for(lambda: flagged(mount) == 4 * (number + 1)), flagged(mount)
        finally:
            mount.unmount()


def bench(folder, count, fill, letter, row):
    folder, user = Path(folder), "trips"
    with servers.Dovecot(very_dirty=True) as server:
        fill(server, user, count)
        for number, tier in enumerate(TIERS):
            bench_tier(server, folder, user, tier, number, count, letter, row)
