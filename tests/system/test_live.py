"""Changes by other clients: seen as soon as the server tells them, and asked for in few round trips.

The poll is an hour away in all tests of what is told: what is seen was told, not looked for.
"""
import os
import random
import re
import time

import pytest

from lib import mail, scripted
from lib.mount import wait_for
from lib.others import Other
from lib.trips import (MOST, TIERS, after_login, asked, change_ten,
                       list_changed)

IDLE = ["poll=3600"]
FOLDERS = 50
MANY = 400


def letter(number):
    return (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\n"
            b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nSubject: number %d\r\n"
            b"Message-ID: <live%d@example.org>\r\n\r\nbody %d\r\n" % (number, number, number))


def numbers(mount, mailbox="INBOX"):
    """Of the messages that a listing shows."""
    return sorted(int(name.split("number ")[1].split()[0])
                  for name in os.listdir(mount.path / mailbox) if name.endswith("].eml"))


@pytest.fixture
def live(server, user, mounts):
    """(mount, another client) of an account with three letters in INBOX."""
    server.add_user(user)
    with Other(server, user) as other:
        for number in (1, 2, 3):
            other.deliver("INBOX", letter(number))
        mount = mounts(server, user=user, options=IDLE, writes=True)
        assert numbers(mount) == [1, 2, 3]
        yield mount, other


def test_delivered(live):
    mount, other = live
    for number in (4, 5):
        other.deliver("INBOX", letter(number))
        assert wait_for(lambda: number in numbers(mount))
    assert numbers(mount) == [1, 2, 3, 4, 5]


def test_nobody_looks(dovecot, user, mounts, through):
    """What is told is fetched though nobody lists anything. (Cyrus compresses, and cannot be read.)"""
    dovecot.add_user(user)
    proxy = through(dovecot)
    with Other(dovecot, user) as other:
        other.deliver("INBOX", letter(1))
        mount = mounts(dovecot, user=user, port=proxy.port, tls="none", options=IDLE, writes=True)
        assert numbers(mount) == [1]
        assert wait_for(lambda: proxy.heard.endswith(b" IDLE\r\n"))
        heard = len(proxy.heard)
        other.deliver("INBOX", letter(2))
        assert wait_for(lambda: b"EXAMINE INBOX" in proxy.heard[heard:])
        assert wait_for(lambda: proxy.heard.endswith(b" IDLE\r\n"))
        heard = len(proxy.heard)
        assert numbers(mount) == [1, 2]
        assert proxy.heard[heard:] == b""  # and shown without asking
        mount.unmount()


def test_flagged(live):
    mount, other = live
    flagged = mount.path / "INBOX/.mailmount/flags/flagged"
    assert os.listdir(flagged) == []
    other.mark("INBOX", [2], ["\\Flagged"])
    assert wait_for(lambda: len(os.listdir(flagged)) == 1)
    other.mark("INBOX", [2], ["\\Flagged"], "-")
    assert wait_for(lambda: os.listdir(flagged) == [])


def test_moved_and_deleted(live):
    mount, other = live
    assert numbers(mount, "Trash") == []
    other.move("INBOX", [1], "Trash")
    assert wait_for(lambda: numbers(mount) == [2, 3])
    assert wait_for(lambda: numbers(mount, "Trash") == [1])
    other.expunge("INBOX", [3])
    assert wait_for(lambda: numbers(mount) == [2])


# ---- round trips

def test_a_folder_is_deleted_above_another(dovecot, user, mounts):
    """Dovecot goes on to list it, and does not say that it is only a name (RFC 9051, 6.3.5)."""
    dovecot.add_user(user)
    with Other(dovecot, user) as other:
        for number, folder in enumerate(("Old", "Old/Below", "Seen", "Seen/Below")):
            other.create(folder)
            other.deliver(folder, letter(number))
        other.delete("Old")
        mount = mounts(dovecot, user=user, options=["poll=5"], writes=True)
        assert os.listdir(mount.path / "Old") == ["Below"]
        assert numbers(mount, "Old/Below") == [1]
        assert numbers(mount, "Seen") == [2]
        other.delete("Seen")

        def only_below():
            try:
                return os.listdir(mount.path / "Seen") == ["Below"]
            except FileNotFoundError:  # until it is listed on for a while
                return False
        assert wait_for(only_below, pause=0.5)
        assert numbers(mount, "Seen/Below") == [3]
        mount.unmount()


class Folders:
    """What two clients make, rename and delete by chance."""

    def __init__(self, clients, seed):
        self.clients, self.chance = clients, random.Random(seed)
        self.names, self.count = [], 0

    def change(self):
        client, action = self.chance.choice(self.clients), self.chance.random()
        self.count += 1
        new = "Folder %d" % self.count
        old = self.chance.choice(self.names) if self.names else None
        if not old or (action < 0.45 and len(self.names) < 6):
            client.create(new)
        elif action < 0.75:
            client.rename(old, new)
            self.names.remove(old)
        else:
            client.delete(old)
            self.names.remove(old)
            return
        self.names.append(new)


def test_folders_come_and_go(server, user, mounts):
    """Sessions of Dovecot's that are open meanwhile go on to list what there was."""
    server.add_user(user)
    with Other(server, user) as one, Other(server, user) as other:
        mount = mounts(server, user=user, options=["poll=5"], writes=True)
        folders = Folders((one, other), seed=1)
        for turn in range(100):
            folders.change()
            if turn % 2:
                os.listdir(mount.path)
            time.sleep(0.2 * folders.chance.random())
        shown = set()

        def is_shown():
            shown.clear()
            shown.update(n for n in os.listdir(mount.path) if n.startswith("Folder"))
            return shown == set(folders.names)
        assert wait_for(is_shown, pause=0.2), "shown: %s, there are: %s" % (
            sorted(shown), sorted(folders.names))
        mount.unmount()


@pytest.fixture(params=TIERS)
def tier(request):
    return request.param


@pytest.fixture
def wide(server, user, mounts, through, tier):
    """(mount, proxy) of an account with many folders, each of which was listed, unmounted."""
    server.add_user(user)
    with server.client(user) as client:
        for number in range(FOLDERS):
            client.command(b"CREATE F%02d" % number)
            client.append(b"F%02d" % number, letter(number))
    proxy = through(server, hide=TIERS[tier])
    mount = mounts(server, user=user, port=proxy.port, tls="none", options=IDLE)
    assert walk(mount) == FOLDERS
    mount.unmount()
    return mount, proxy


def walk(mount):
    return sum(len(numbers(mount, "F%02d" % number)) for number in range(FOLDERS))


def test_an_unchanged_account(wide, tier):
    """One round trip for all folders. Without modification sequences a folder whose numbers are as
    before may have other flags, so each is asked."""
    mount, proxy = wide
    flown = len(proxy.flights)
    with mount:
        assert walk(mount) == FOLDERS
        spent = after_login(proxy.flights[flown:])
        print("%s: %d round trips" % (tier, len(spent)))
        assert len(spent) <= (FOLDERS + 1 if tier == "plain" else MOST), spent
        mount.unmount()


def test_ten_of_many(server, user, mounts, through, tier):
    """One round trip for all folders, one for this."""
    server.add_user(user)
    with server.client(user) as client:
        mail.deliver(client, [mail.Message("INBOX", mail.text("x\n"), subject="number %d " % n)
                              for n in range(MANY)])
    proxy = through(server, hide=TIERS[tier])
    mount = mounts(server, user=user, port=proxy.port, tls="none", options=IDLE, writes=True)
    assert len(numbers(mount)) == MANY
    mount.unmount()
    with Other(server, user) as other:
        change_ten(other, "INBOX", [7, 8, 9, 10, 20, 21, 22], [letter(MANY + n) for n in range(3)])
    spent, down, names = list_changed(mount, proxy)
    print("%s: %d round trips, %d bytes" % (tier, len(spent), down))
    assert asked(b"".join(spent)) == tier
    assert len(spent) <= MOST, spent
    assert down < (64 if tier == "plain" else 16) * 1024
    assert len(names) == 2 * MANY
    assert numbers(mount) == sorted({*range(MANY + 3)} - {19, 20, 21})
    assert len(os.listdir(mount.path / "INBOX/.mailmount/flags/flagged")) == 4
    mount.unmount()


def test_an_idle_mount_sleeps(live):
    """With nothing to do the engine wakes for its clock only, also after a change was sent."""
    mount, _ = live
    os.unlink(mount.message("number 2 "))
    assert wait_for(lambda: "changes to be sent: 0" in (mount.path / ".mailmount/status").read_text())
    engine, = (task for task in os.scandir("/proc/%d/task" % mount.worker())
               if open(task.path + "/comm").read() == "engine\n")

    def wakes():
        with open(engine.path + "/status") as status:
            return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read(), re.M)[1])

    def sleeps():
        before = wakes()
        time.sleep(2)
        return wakes() - before < 4
    assert wait_for(sleeps)


def test_very_many_are_removed(mounts):
    """More than wait to be told to the kernel, which keeps names for an hour: none is found."""
    with scripted.Scripted({"INBOX": [letter(n) for n in range(12_000)]}) as server:
        mount = mounts(port=server.port, tls="none", options=IDLE)
        inbox = mount.path / "INBOX"
        for name in os.listdir(inbox):
            os.stat(inbox / name)
        mailbox = server.mailboxes["INBOX"]
        kept = os.listdir(inbox)
        mailbox.messages = mailbox.messages[-1:]
        assert wait_for(lambda: len(os.listdir(inbox)) == 2)
        left = [name for name in kept if "number 11999" not in name]
        assert wait_for(lambda: not any(os.path.lexists(inbox / name) for name in left))
