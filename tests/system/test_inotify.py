"""Who watches directories (inotify) sees what other clients do, as if it were done in the mount; and
what is done in the mount once, not twice.

The poll is an hour away: what is seen was told by the server, or found when a folder was listed.
"""
import os
import subprocess
import time

import pytest

from lib import desktop, plainserver
from lib.mount import SLOW, mounted, wait_for
from lib.others import Other

IDLE = ["poll=3600"]
MANY, BULK = 300, 64


def letter(number):
    return (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\n"
            b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nSubject: number %d\r\n"
            b"Message-ID: <watch%d@example.org>\r\n\r\nbody %d\r\n" % (number, number, number))


def stem(number, uid=None):
    return "2026-11-20 Alice - number %d [%d]" % (number, uid or number)


def faces(what, folder, number, uid=None):
    return [(folder, what, stem(number, uid) + ".eml"),
            (folder, what + ",ISDIR", stem(number, uid))]


class Watch:
    """inotifywait on some folders ("" is the root), and what is said on the stream of events."""

    def __init__(self, mount, folder, *folders, options=()):
        self.mount, self.at = mount, 0
        self.path, self.stream = folder / "watched", folder / "stream"
        self.files = [open(self.path, "wb"), open(folder / "errors", "wb"),
                      open(self.stream, "wb")]
        self.processes = [
            subprocess.Popen(["inotifywait", "-m", "-e", "create,delete,move,attrib",
                              "--format", "%w|%e|%f", *options,
                              *(mount.path / f if f else mount.path for f in folders)],
                             stdin=subprocess.DEVNULL, stdout=self.files[0],
                             stderr=self.files[1]),
            subprocess.Popen(["cat", mount.path / ".mailmount/events"], stdin=subprocess.DEVNULL,
                             stdout=self.files[2])]
        assert wait_for(lambda: b"established" in (folder / "errors").read_bytes())
        stream = "/proc/%d/fd" % self.processes[1].pid

        def is_open():
            try:
                return any(os.readlink(stream + "/" + fd).endswith("/events")
                           for fd in os.listdir(stream))
            except OSError:  # the program loads its libraries: what was listed is closed again
                return False
        assert wait_for(is_open)

    def seen(self):
        found = []
        for line in self.path.read_text().split("\n")[:-1]:
            where, what, name = line.split("|")
            found.append((os.path.relpath(where, self.mount.path).replace(".", ""), what, name))
        return found

    def sees(self, *events, look=None):
        """Whether just these come next, after a while; `look` is done meanwhile."""
        wait_for(lambda: (look and look(), len(self.seen()) >= self.at + len(events))[1])
        found = self.seen()[self.at:]
        self.at += len(events)
        assert found == list(events)
        return True

    def said(self, word, look=None):
        return wait_for(lambda: (look and look(), word in self.stream.read_text())[1])

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()
        for file in self.files:
            file.close()


@pytest.fixture
def watch(folder):
    made = []

    def make(mount, *folders, **options):
        made.append(Watch(mount, folder, *folders, **options))
        return made[-1]
    yield make
    for each in made:
        each.end()


def prepared(server, user, mounts, options=()):
    server.add_user(user)
    other = Other(server, user)
    for number in (1, 2, 3):
        other.deliver("INBOX", letter(number))
    mount = mounts(server, user=user, options=[*IDLE, *options], writes=True)
    os.listdir(mount.path / "Trash")
    os.listdir(mount.path / "INBOX")
    return mount, other


@pytest.fixture
def live(server, user, mounts):
    """(mount, another client) of an account with three letters in INBOX, which was listed."""
    mount, other = prepared(server, user, mounts)
    with other:
        yield mount, other


def test_another_client(live, watch):
    mount, other = live
    watched = watch(mount, "INBOX")
    other.deliver("INBOX", letter(4))
    assert watched.sees(*faces("CREATE", "INBOX", 4))
    assert (mount.path / "INBOX" / (stem(4) + ".eml")).read_bytes() == letter(4)
    other.mark("INBOX", [2], ["\\Flagged"])
    assert watched.sees(("INBOX", "ATTRIB", stem(2) + ".eml"))
    other.mark_deleted("INBOX", [3])
    assert watched.sees(("INBOX", "ATTRIB", stem(3) + ".eml"))
    other.expunge("INBOX")
    assert watched.sees(*faces("DELETE", "INBOX", 3))
    with pytest.raises(FileNotFoundError):
        os.stat(mount.path / "INBOX" / (stem(3) + ".eml"))
    assert sorted(other.uids("INBOX")) == [1, 2, 4]  # and nothing else happened there
    assert len(os.listdir(mount.path / "INBOX")) == 6


def test_a_message_that_somebody_reads(live, watch):
    """It can be read on while its name goes, and one that was looked up comes all the same."""
    mount, other = live
    watched = watch(mount, "INBOX")
    with open(mount.path / "INBOX" / (stem(1) + ".eml"), "rb") as file:
        other.expunge("INBOX", [1])
        assert watched.said("removed")
        wait_for(lambda: len(watched.seen()) >= 2)
        assert file.read() == letter(1)
    assert watched.seen()[-2:] == faces("DELETE", "INBOX", 1)


def test_a_move_of_another_client(live, watch):
    """As one where the server says which message it is."""
    mount, other = live
    watched = watch(mount, "INBOX", "Trash")
    other.move("INBOX", [1], "Trash")
    wait_for(lambda: (os.listdir(mount.path / "Trash"), os.listdir(mount.path / "INBOX"),
                      len(watched.seen()) >= 4)[2])
    one = [("INBOX", "MOVED_FROM", stem(1) + ".eml"), ("Trash", "MOVED_TO", stem(1) + ".eml"),
           ("INBOX", "MOVED_FROM,ISDIR", stem(1)), ("Trash", "MOVED_TO,ISDIR", stem(1))]
    assert watched.seen() == one or sorted(watched.seen()) == sorted(
        faces("CREATE", "Trash", 1) + faces("DELETE", "INBOX", 1))
    moved = mount.path / "Trash" / (stem(1) + ".eml")
    assert moved.read_bytes() == letter(1)
    assert other.uids("Trash") == [1]


def looking(server, mount):
    """What finds folders where the server tells only of single ones (IDLE); else None: they show by
    themselves (NOTIFY)."""
    return None if server.name == "dovecot" else lambda: os.listdir(mount.path)


def test_folders_of_another_client(server, live, watch):
    mount, other = live
    look = looking(server, mount)
    watched = watch(mount, "")
    other.create("New")
    assert watched.sees(("", "CREATE,ISDIR", "New"), look=look)
    other.rename("New", "Newer")
    wait_for(lambda: (look and look(), len(watched.seen()) >= 3)[1])
    renamed = [("", "MOVED_FROM,ISDIR", "New"), ("", "MOVED_TO,ISDIR", "Newer")]
    assert watched.seen()[1:] == renamed or sorted(watched.seen()[1:]) == [
        ("", "CREATE,ISDIR", "Newer"), ("", "DELETE,ISDIR", "New")]
    watched.at = 3
    assert os.listdir(mount.path / "Newer") == []
    other.delete("Newer")
    assert watched.sees(("", "DELETE,ISDIR", "Newer"), look=look)
    assert {"INBOX", "Trash"} <= set(other.folders())


def test_a_folder_that_is_made_again(server, live, watch):
    """Whoever stands in the one that was removed does not spoil it for the others."""
    mount, other = live
    look = looking(server, mount)
    watched = watch(mount, "")
    other.create("New")
    assert watched.sees(("", "CREATE,ISDIR", "New"), look=look)
    assert wait_for(lambda: "New" in os.listdir(mount.path))
    inside = os.open(mount.path / "New", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.listdir(inside)
        other.delete("New")
        assert watched.sees(("", "DELETE,ISDIR", "New"), look=look)
        other.create("New")
        assert watched.sees(("", "CREATE,ISDIR", "New"), look=look)
        other.deliver("New", letter(5))
        assert wait_for(lambda: len(os.listdir(mount.path / "New")) == 2)
        name, = (name for name in os.listdir(mount.path / "New") if name.endswith(".eml"))
        assert (mount.path / "New" / name).read_bytes() == letter(5)
    finally:
        os.close(inside)


def test_what_is_done_here_comes_once(live, watch):
    mount, other = live
    watched = watch(mount, "", "INBOX", "Trash")
    inbox, trash = mount.path / "INBOX", mount.path / "Trash"
    os.rename(inbox / (stem(1) + ".eml"), trash / (stem(1) + ".eml"))
    assert watched.said("moved")
    assert watched.sees(("INBOX", "MOVED_FROM", stem(1) + ".eml"),
                        ("Trash", "MOVED_TO", stem(1) + ".eml"))
    (inbox / (stem(2) + ".eml")).unlink()
    assert watched.said("INBOX/" + stem(2))
    assert watched.sees(("INBOX", "DELETE", stem(2) + ".eml"))
    subprocess.run(["cp", inbox / (stem(3) + ".eml"), trash / "x.eml"], check=True)
    assert watched.said("new\tTrash")
    assert watched.sees(("Trash", "CREATE", "x.eml"))
    (mount.path / "Work").mkdir()
    assert watched.said("folder-new")
    assert watched.sees(("", "CREATE,ISDIR", "Work"))
    (mount.path / "Work").rmdir()
    assert watched.said("folder-removed", look=lambda: os.listdir(mount.path))
    assert watched.sees(("", "DELETE,ISDIR", "Work"))
    other.deliver("INBOX", letter(4))  # nothing else has come before this
    assert watched.sees(*faces("CREATE", "INBOX", 4))


def test_only_messages(dovecot, user, mounts, watch):
    mount, other = prepared(dovecot, user, mounts, ["view=messages"])
    with other:
        watched = watch(mount, "INBOX")
        other.deliver("INBOX", letter(4))
        assert watched.sees(("INBOX", "CREATE", stem(4) + ".eml"))
        other.expunge("INBOX", [4])
        assert watched.said("removed")
        wait_for(lambda: watched.seen()[-1][1] == "DELETE")
        assert watched.seen()[-1] == ("INBOX", "DELETE", stem(4) + ".eml")


def test_read_only_there_are_none(dovecot, user, mounts, watch):
    mount, other = prepared(dovecot, user, mounts, ["ro"])
    with other:
        watched = watch(mount, "INBOX")
        other.deliver("INBOX", letter(4))
        assert watched.said("new\tINBOX")
        other.expunge("INBOX", [4])
        assert watched.said("removed\tINBOX")
        assert len(os.listdir(mount.path / "INBOX")) == 6
        assert watched.seen() == []


def test_very_many_are_only_invalidated(dovecot, user, mounts, watch):
    mount, other = prepared(dovecot, user, mounts)
    with other:
        for number in range(4, MANY + 1):
            other.deliver("INBOX", letter(number))
        assert wait_for(lambda: len(os.listdir(mount.path / "INBOX")) == 2 * MANY)
        watched = watch(mount, "INBOX")
        other.expunge("INBOX", range(1, MANY))
        assert watched.said(stem(MANY - 1))
        assert wait_for(lambda: len(os.listdir(mount.path / "INBOX")) == 2)
        other.deliver("INBOX", letter(9))
        last = ("INBOX", "CREATE", stem(9, MANY + 1) + ".eml")
        assert wait_for(lambda: last in watched.seen())
        assert len([e for e in watched.seen() if e[1].startswith("DELETE")]) < MANY


def test_it_can_be_unmounted_while_mail_comes(dovecot, user, mounts):
    """Nothing of the mount stays open but for a moment."""
    mount, other = prepared(dovecot, user, mounts)
    with other:
        for number in range(4, 20):
            other.deliver("INBOX", letter(number))
        for _ in range(100):
            done = subprocess.run(["umount", mount.path], capture_output=True, timeout=SLOW)
            if done.returncode == 0:
                break
            time.sleep(0.1)
        assert not mounted(mount.path)
        assert wait_for(lambda: not mount.processes())


# ---- a file manager

@pytest.mark.skipif(bool(desktop.missing()), reason="not here: " + ", ".join(desktop.missing()))
def test_an_open_window_shows_what_others_do(dovecot, user, mounts, folder):
    """Nobody presses a key: it shows by itself what it shows when it is loaded again."""
    mount, other = prepared(dovecot, user, mounts, ["view=messages"])
    with other, desktop.Desktop(folder) as screen:
        def changes(before):
            """What it shows when it is not as before any more."""
            assert wait_for(lambda: screen.pixels() != before)
            return screen.settled()

        screen.open(mount.path / "INBOX")
        before = screen.settled()
        other.deliver("INBOX", letter(4))
        arrived = changes(before)
        screen.shot("arrived")
        other.expunge("INBOX", [4])
        assert wait_for(lambda: screen.pixels() == before)
        screen.shot("removed")
        screen.open(mount.path)
        top = screen.settled()
        other.create("Before")
        made = changes(top)
        screen.shot("made")
        other.rename("Before", "Zebra")
        assert wait_for(lambda: screen.pixels() not in (made, top))
        wait_for(lambda: screen.settled() not in (made, top))
        renamed = screen.settled()
        screen.shot("renamed")
        screen.keys("F5")
        time.sleep(1)
        assert screen.settled() == renamed
        assert len({before, arrived, top, made, renamed}) == 5


def test_a_watch_is_use(mounts, folder):
    """Where the server tells only of the folders in use (IDLE), one that is watched is in use,
    though nobody has opened it in this mount."""
    boxes = {"INBOX": [letter(1)], "A": [letter(1)], "B": [letter(1)]}
    with plainserver.PlainServer(boxes, plainserver.USUAL) as server:
        mount = mounts(server, options=IDLE, start=False)
        with mount:
            for name in boxes:
                os.listdir(mount.path / name)
        with mount:
            before = len(server.commands)
            seen = folder / "seen"
            with open(seen, "wb") as out:
                watcher = subprocess.Popen(
                    ["inotifywait", "-m", "-e", "create", "--format", "%f", mount.path / "A"],
                    stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)

            def idles():
                said = [c.replace('"', "") for c in server.commands[before:]]
                at = [n for n, c in enumerate(said) if c.startswith(("EXAMINE A", "SELECT A"))]
                return at and any(c.startswith("IDLE") for c in said[at[0]:])
            try:
                assert wait_for(idles, 3 * SLOW)  # /proc is looked at once a minute
                server.store.deliver("A", letter(2))
                assert wait_for(lambda: stem(2) in seen.read_text())
            finally:
                watcher.kill()
                watcher.wait()
            assert not [c for c in server.commands[before:]
                        if c.replace('"', "").startswith(("EXAMINE B", "SELECT B"))]
