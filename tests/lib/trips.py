"""Counts what a mount asks a server for, by a lib.proxy.Proxy between the two, in each of the tiers
by which changes are asked for."""
import os
import re

# What is hidden of the server's capabilities, so that changes are asked for by less and less. (Cyrus
# compresses, and could not be read.)
TIERS = {"qresync": ("COMPRESS",), "condstore": ("COMPRESS", "QRESYNC"),
         "plain": ("COMPRESS", "QRESYNC", "CONDSTORE")}
MOST = 2  # round trips after signing in, for an unchanged account or a mailbox that changed a little


# Flights that nobody waits for: what begins to wait for changes, and, behind the answer, the flags of
# older messages where there are no modification sequences. NOTIFY goes out together with what is
# asked next, but on a loaded machine the server may have answered before that has come.
BEHIND = re.compile(rb"\w+ (IDLE|NOTIFY [^\r\n]*|UID FETCH \d+:\d+ \(UID FLAGS\))\r\n")


def after_login(flights):
    """Without those that sign in and agree on extensions, and those that nobody waits for."""
    return [bytes(f) for f in flights if b"AUTHENTICATE" not in f and b" NAMESPACE" not in f
            and not BEHIND.fullmatch(f)]


def asked(said):
    """How changes were asked for."""
    for word, name in ((b"(QRESYNC (", "qresync"), (b"CHANGEDSINCE", "condstore")):
        if word in said:
            return name
    return "plain"


def change_ten(other, mailbox, uids, letters):
    """Of ten messages: the first four are flagged, the next three removed, and three come."""
    assert (len(uids), len(letters)) == (7, 3)
    other.mark(mailbox, uids[:4], ["\\Flagged"])
    other.expunge(mailbox, uids[4:])
    for raw in letters:
        other.deliver(mailbox, raw)


def list_changed(mount, proxy, mailbox="INBOX"):
    """Mounts and opens a mailbox's directory, which waits for its true list. Returns (the flights
    that took, bytes from the server, names). It stays mounted."""
    before, flown = proxy.traffic(), len(proxy.flights)
    mount.__enter__()
    descriptor = os.open(mount.path / mailbox, os.O_RDONLY | os.O_DIRECTORY)
    try:
        spent = after_login(proxy.flights[flown:])
        down = (proxy.traffic() - before).down
        return spent, down, os.listdir(descriptor)
    finally:
        os.close(descriptor)
