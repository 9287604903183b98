"""Removing and moving ten thousand messages, beside a FUSE filesystem that has no work to do."""
import os
import re
import subprocess
import time
from pathlib import Path

from . import servers
from .client import Client
from .mount import BINARY, Mount, mounted, wait_for
from .proxy import Proxy

COUNT = 10_000


def shell(folder, command):
    """Seconds that a command takes in a folder whose names were listed before."""
    os.listdir(folder)
    started = time.monotonic()
    subprocess.run(["bash", "-c", command], cwd=folder, check=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - started


class Null:
    """tests/nullfs.c, mounted."""

    def __init__(self, folder):
        self.path = Path(folder) / "null"
        self.path.mkdir()

    def __enter__(self):
        program = BINARY.parent / "tests" / "nullfs"
        self.process = subprocess.Popen([program, str(COUNT), self.path], stdin=subprocess.DEVNULL)
        wait_for(lambda: mounted(self.path) or self.process.poll() is not None)
        assert mounted(self.path), "nullfs does not mount"
        return self

    def __exit__(self, *exception):
        subprocess.run(["umount", self.path] if not os.getuid()
                       else ["fusermount3", "-u", self.path], check=True)
        self.process.wait(60)


def floors(folder):
    """Seconds of rm and of mv with no work behind them."""
    with Null(folder / "a") as null:
        rm = shell(null.path / "from", "rm -- *")
    with Null(folder / "b") as null:
        mv = shell(null.path / "from", "mv -- * ../to/")
    return rm, mv


def messages(server, user, mailbox):
    with Client(server.imap_port, user) as client:
        answer = client.command(b"STATUS %s (MESSAGES)" % mailbox.encode())
    return int(re.search(rb"MESSAGES (\d+)", answer[0][0])[1])


def change(server, folder, user, command, target, floor, row):
    with Proxy(server.imap_port, rtt=0.05) as proxy:
        with Mount(folder, server, user=user, tls="none", port=proxy.port) as mount:
            names = len(os.listdir(mount.path / "INBOX"))
            assert names == 2 * COUNT, names
            before = proxy.traffic()
            took = shell(mount.path / "INBOX", command)
            started = time.monotonic()
            arrived = wait_for(lambda: messages(server, user, target) == COUNT, 600, 0.2)
            rest = time.monotonic() - started
            trips = (proxy.traffic() - before).trips
            assert arrived, "the server does not have them all"
            row("%s of %d messages at 50 ms" % (command.split()[0], COUNT), took,
                note="%.1f x no work at all (at most 3)" % (took / floor))
            row("until the server has them", rest, note="%d round trips (at most 100)" % trips)


def bench(folder, fill, row):
    folder = Path(folder)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    rm, mv = floors(folder)
    row("floor: rm of %d files, no work behind it" % COUNT, rm)
    row("floor: mv of them", mv)
    for user, command, target, floor in (
            ("remover", "rm -- *.eml", "Trash", rm),
            ("mover", "mv -- *.eml ../Archive/", "Archive", mv)):
        with servers.Dovecot(very_dirty=True) as server:
            fill(server, user, COUNT)
            with Client(server.imap_port, user) as client:
                there = b"".join(line for parts in client.command(b'LIST "" *') for line in parts)
                if target.encode() not in there:
                    client.command(b"CREATE " + target.encode())
            change(server, folder / user, user, command, target, floor, row)
