""".mailmount/status.json says what .mailmount/status says, as JSON; marks for indexers."""
import errno
import json
import os
import re
import subprocess
import time

import pytest

from lib import plainserver
from lib.mount import SLOW, wait_for

HOSTILE = 'quo"te, back\\slash, \u202e\U0001f4a9 tab\there'
MARKS = (".trackerignore", ".nomedia", ".metadata_never_index")


def facts(mount):
    text = (mount.path / ".mailmount/status.json").read_bytes()
    assert text.endswith(b"}\n") and text.count(b"\n") == 1
    return json.loads(text.decode("utf-8"))


def lines(mount):
    text = (mount.path / ".mailmount/status").read_text()
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def test_facts(dovecot_sample, mounts):
    mount = mounts(dovecot_sample)
    os.listdir(mount.path / "INBOX")
    said, told = facts(mount), lines(mount)
    assert set(said) == {"version", "accounts"}
    assert (mount.path / ".mailmount/status").read_text().startswith(
        "mailmount %s\n" % said["version"])
    account, = said["accounts"]
    assert set(account) == {
        "account", "source", "online", "connecting", "flaws", "next_attempt_in", "told_by",
        "paused_until", "paused_by",
        "server", "last_error",
        "connections", "connections_most", "waiting", "bytes_received", "commands", "sizes",
        "cache_bytes", "cache_bytes_most", "changes", "folders_incomplete", "listings", "prefetch"}
    assert account["account"] == told["account"] and account["source"] == told["source"]
    assert account["paused_until"] is account["paused_by"] is None
    assert account["connecting"] is False and account["flaws"] == []
    assert account["online"] is True and account["next_attempt_in"] is None
    assert account["told_by"] in ("poll", "idle", "notify")
    assert account["connections_most"] == 4 and 1 <= account["connections"] <= 4
    assert account["bytes_received"] > 100 and account["commands"] > 1
    assert account["sizes"] in ("unproved", "right") and account["cache_bytes_most"] == 1 << 30
    assert account["listings"] == account["prefetch"] == []
    assert account["changes"] == {
        "waiting": 0, "waiting_since": None, "put_off": [], "marked_deleted": 0, "last_refusal": None,
        "refusals": 0, "refused": [], "can_delete": True, "failed": []}


def test_offline_and_read_only(dovecot_sample, mounts, through):
    proxy = through(dovecot_sample)
    mount = mounts(dovecot_sample, port=proxy.port, tls="none", options=["ro"])
    assert facts(mount)["accounts"][0]["changes"] is None
    proxy.go_away()
    assert wait_for(lambda: facts(mount)["accounts"][0]["last_error"])
    account = facts(mount)["accounts"][0]
    assert account["online"] is False and account["told_by"] is None
    assert account["next_attempt_in"] is None or account["next_attempt_in"] >= 0


def test_hostile_names(dovecot, user, mounts):
    """A folder's name, and a subject in the name of what was not sent."""
    dovecot.add_user(user)
    mount = mounts(dovecot, user=user, writes=True)
    (mount.path / HOSTILE.replace("\t", " ")).mkdir()
    folder = next(name for name in os.listdir(mount.path) if "quo" in name)
    with open(mount.path / ".mailmount/control", "w") as control:
        control.write("prefetch %s\n" % folder)
    assert wait_for(lambda: facts(mount)["accounts"][0]["prefetch"])
    shown, = facts(mount)["accounts"][0]["prefetch"]
    assert shown["folder"] == folder
    assert set(shown) == {"folder", "state", "messages", "messages_done", "bytes", "bytes_done",
                          "why"}


def test_a_long_listing(mounts):
    """How far the first list of a folder is, while the server is at it."""
    many = {"INBOX": [b"Subject: %d\r\n\r\n" % n for n in range(5000)]}
    with plainserver.PlainServer(many, plainserver.USUAL) as server:
        mount = mounts(server, options=["timeout=10"])
        assert facts(mount)["accounts"][0]["listings"] == []
        server.fault("^UID FETCH .*INTERNALDATE", silent=True, nth=3, times=1)
        reader = subprocess.Popen(["ls", mount.path / "INBOX"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        seen = wait_for(lambda: facts(mount)["accounts"][0]["listings"], pause=0.001)
        assert [(s["folder"], s["messages"]) for s in seen] == [("INBOX", 5000)]
        assert 0 <= seen[0]["messages_done"] < 5000
        assert re.fullmatch(r"INBOX: \d+ of 5000 messages", lines(mount)["listing"])
        reader.wait(SLOW)
        assert wait_for(lambda: try_list(mount) == 10000)
        assert facts(mount)["accounts"][0]["listings"] == []
        mount.unmount()


def test_a_change_that_is_put_off(mounts):
    """Refused in words that do not sound as if it stayed so: named for as long as it waits."""
    boxes = {"INBOX": [b"From: a@example.org\r\nSubject: one\r\n\r\nx\r\n"], "Other": []}
    with plainserver.PlainServer(boxes, plainserver.USUAL) as server:
        mount = mounts(server, writes=True)
        name, = (n for n in os.listdir(mount.path / "INBOX") if n.endswith(".eml"))
        before = int(time.time())
        server.fault("^UID (MOVE|COPY)", answer="NO Try again later, \u201cplease\u201d")
        os.rename(mount.path / "INBOX" / name, mount.path / "Other" / name)
        shown, = wait_for(lambda: facts(mount)["accounts"][0]["changes"]["put_off"])
        assert shown["change"].startswith("move INBOX/") and shown["change"].endswith(" to Other")
        assert shown["why"].startswith("Try again later")
        assert before <= shown["since"] <= time.time()
        line = lines(mount)["put off"]
        assert re.fullmatch(re.escape(shown["change"]) + r", since [-0-9]+ [:0-9]+: Try again .*",
                            line)
        server.faults.clear()
        assert wait_for(lambda: not facts(mount)["accounts"][0]["changes"]["put_off"])
        assert "put off" not in lines(mount)
        assert wait_for(lambda: facts(mount)["accounts"][0]["changes"]["waiting"] == 0)


def try_list(mount):
    try:
        return len(os.listdir(mount.path / "INBOX"))
    except OSError:
        return None


def test_marks(dovecot_sample, mounts):
    """There by name in the root, empty, not listed, and nothing can be done to them."""
    mount = mounts(dovecot_sample)
    for name in MARKS:
        path = mount.path / name
        assert path.read_bytes() == b"" and os.stat(path).st_size == 0
        assert os.stat(path).st_mode == 0o100600
        assert not (mount.path / "INBOX" / name).exists()
        with pytest.raises(OSError):
            path.unlink()
        with pytest.raises(OSError) as refused:
            path.write_bytes(b"x")
        assert refused.value.errno in (errno.EACCES, errno.EPERM)
    assert not set(MARKS) & set(os.listdir(mount.path))
    assert len({os.stat(mount.path / name).st_ino for name in MARKS}) == len(MARKS)
