"""How long after the server itself reports another client's change the mount shows it."""
import os
import statistics
import subprocess
import threading
import time
from pathlib import Path

from . import servers
from .client import Client, ImapError
from .mount import Mount, wait_for
from .others import Other

ROUNDS = 10


class Idler:
    """A bare client that idles in INBOX: when it is told what."""

    def __init__(self, server, user):
        self.client = Client(server.imap_port, user)
        self.client.command(b"EXAMINE INBOX")
        self.told = []
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        tag = self.client.send(b"IDLE")
        try:
            for line in self.client.answers(tag):
                if line[0].startswith(b"* ") and not line[0].startswith(b"* OK"):
                    self.told.append(time.monotonic())
        except (ImapError, OSError, ValueError):
            pass

    def after(self, when):
        return wait_for(lambda: next((t for t in self.told if t >= when), None), pause=0.001)


class Events:
    """When which line of .mailmount/events came; a process reads them, which the end of the mount
    ends."""

    def __init__(self, mount):
        self.lines = []
        self.process = subprocess.Popen(["cat", mount.path / ".mailmount/events"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()

    def read(self):
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line))

    def after(self, when, words):
        """Of those that say any of `words`."""
        return wait_for(lambda: next((t for t, line in self.lines if t >= when
                                      and line.split("\t")[1] in words), None), pause=0.001)


def names(path):
    return [n for n in os.listdir(path) if n.endswith(".eml")]


def rounds(mount, other, listener, events, letter):
    """{change: [(seconds to `ls`, seconds to the line), ...]}"""
    inbox, archive = mount.path / "INBOX", mount.path / "Archive"
    flagged = inbox / ".mailmount/flags/flagged"
    found = {}

    def change(what, do, seen):
        started = time.monotonic()
        do()
        shown = wait_for(seen, pause=0.001) and time.monotonic()
        # where the server does not say that it is the same message, it is a new one in Archive
        line = events.after(started, {"moved": ("moved", "new")}.get(what, (what,)))
        told = listener.after(started)
        assert shown and line and told, "%s: %s, %s, %s" % (what, shown, line, told)
        found.setdefault(what, []).append((shown - told, line - told))

    for number in range(ROUNDS):
        subject = "Letter %d " % (1000 + number)
        uid = []
        change("new", lambda: uid.append(other.deliver("INBOX", letter(1000 + number))),
               lambda: any(subject in n for n in names(inbox)))
        change("flags", lambda: other.mark("INBOX", uid, ["\\Flagged"]),
               lambda: any(subject in n for n in os.listdir(flagged)))
        if number % 2:
            change("moved", lambda: other.move("INBOX", uid, "Archive"),
                   lambda: any(subject in n for n in names(archive))
                   and not any(subject in n for n in names(inbox)))
        else:
            change("removed", lambda: other.expunge("INBOX", uid),
                   lambda: not any(subject in n for n in names(inbox)))
    return found


def bench(folder, letter, row):
    for kind in (servers.Dovecot, servers.Cyrus):
        with kind() as server:
            user = "live"
            server.add_user(user)
            with Other(server, user) as other:
                other.create("Archive")
                other.deliver("INBOX", letter(1))
                other.select("Archive")
                listener = Idler(server, user)
                with Mount(Path(folder) / server.name, server, user=user, tls="none",
                           options=["poll=3600"]) as mount:
                    for name in ("INBOX", "Archive"):
                        names(mount.path / name)
                    with Events(mount) as events:
                        found = rounds(mount, other, listener, events, letter)
                for what, times in found.items():
                    shown, line = zip(*times)
                    row("%s: %s, seen by ls" % (server.name, what), statistics.median(shown),
                        note="after the server's word, at most %.2f (at most 1); line of events %.2f, "
                             "at most %.2f" % (max(shown), statistics.median(line), max(line)))
