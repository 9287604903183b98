"""A real file manager: copying in, moving, deleting."""
import os
import time

import pytest

from lib import desktop
from lib.mount import Mount, wait_for

pytestmark = pytest.mark.skipif(bool(desktop.missing()),
                                reason="not here: " + ", ".join(desktop.missing()))


def letter(subject):
    return ("From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: %s\r\n"
            "Date: Sat, 1 Mar 2025 09:00:00 +0000\r\nMessage-ID: <%s@desktop.example.org>\r\n\r\n"
            "A letter.\r\n" % (subject, subject)).encode()


def subjects(server, user, mailbox):
    """The subjects of the messages that the server has in a mailbox, sorted."""
    found = []
    with server.client(user) as client:
        client.command(b"EXAMINE " + mailbox)
        for parts in client.command(b"UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])"):
            if len(parts) > 1:
                found.append(parts[1].decode().split(":", 1)[1].strip())
    return sorted(found)


def test_files_are_copied_in_moved_and_deleted(dovecot, user, folder):
    with dovecot.client(user) as client:
        assert client.append(b"INBOX", letter("there")) is None
    outside = folder / "outside"
    outside.mkdir()
    for subject in ("first", "second"):
        (outside / (subject + ".eml")).write_bytes(letter(subject))
    options = ["view=messages"]
    with Mount(folder / "mount", dovecot, user=user, options=options) as mount, (
            desktop.Desktop(folder)) as screen:
        (mount.path / "Work").mkdir()
        # copied in, as by dragging
        screen.open(outside)
        screen.keys("ctrl+a", "ctrl+c")
        screen.open(mount.path / "INBOX")
        screen.shot("inbox")
        screen.keys("ctrl+v")
        assert wait_for(lambda: subjects(dovecot, user, b"INBOX") == ["first", "second", "there"])
        time.sleep(2)
        screen.shot("copied")
        # moved
        screen.keys("F5", "ctrl+a", "ctrl+x")
        screen.open(mount.path / "Work")
        screen.keys("ctrl+v")
        assert wait_for(lambda: subjects(dovecot, user, b"Work") == ["first", "second", "there"])
        assert subjects(dovecot, user, b"INBOX") == []
        time.sleep(2)
        screen.shot("moved")
        # deleted: there is no trash of the desktop's, so it asks and removes
        screen.keys("F5", "ctrl+a", "shift+Delete")
        time.sleep(1)
        screen.shot("asks")
        screen.keys("Return")
        assert wait_for(lambda: subjects(dovecot, user, b"Trash") == ["first", "second", "there"])
        assert subjects(dovecot, user, b"Work") == []
        time.sleep(2)
        screen.shot("deleted")
        assert wait_for(lambda: os.listdir(mount.path / "Work") == [])
