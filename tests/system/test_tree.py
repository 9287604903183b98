"""The tree: names, bytes, parts and attributes of the sample mail on real servers."""
import configparser
import errno
import os
import stat
import subprocess
import unicodedata

import pytest

from lib import mail, scripted
from lib.mount import wait_for

FORBIDDEN = set('/\\:*?"<>|') | {chr(c) for c in (*range(32), 127, *range(0x80, 0xa0), 0x2028,
                                                0x2029, *range(0x200b, 0x2010),
                                                *range(0x202a, 0x202f), *range(0x2066, 0x206a))}


def by_uid(messages, mailbox):
    """{UID: message}: they were delivered in order, alone."""
    return dict(enumerate((m for m in messages if m.mailbox == mailbox), 1))


def uid_of(name):
    return int(name[name.rindex("[") + 1:name.rindex("]")])


def tree(path):
    """{path below: bytes} of all regular files."""
    found = {}
    for folder, _, files in os.walk(path):
        for name in files:
            full = os.path.join(folder, name)
            with open(full, "rb") as file:
                found[os.path.relpath(full, path)] = file.read()
    return found


def test_folders(sample, messages, mounts):
    mount = mounts(sample)
    assert sorted(os.listdir(mount.path)) == sorted(
        ["Archive", "Drafts", "INBOX", "Projekte", "R&D", "Sent", "Trash", "日本語"])
    assert os.listdir(mount.path / "Trash") == []
    assert os.listdir(mount.path / "Projekte") == ["Grün"]
    assert "Skizzen" in os.listdir(mount.path / "Projekte/Grün")
    for mailbox in {m.mailbox for m in messages}:
        entries = [e for e in os.listdir(mount.path / mailbox) if e.endswith("]")]
        assert sorted(map(uid_of, entries)) == sorted(by_uid(messages, mailbox)), mailbox
        files = [e for e in os.listdir(mount.path / mailbox) if e.endswith(".eml")]
        assert sorted(files) == sorted(e + ".eml" for e in entries)


def test_every_message_is_exact(sample, messages, mounts):
    mount = mounts(sample)
    for mailbox in {m.mailbox for m in messages}:
        wanted = by_uid(messages, mailbox)
        for entry in os.listdir(mount.path / mailbox):
            if entry.endswith("].eml"):
                message = wanted.pop(uid_of(entry))
                assert (mount.path / mailbox / entry).read_bytes() == message.raw, entry
        assert not wanted


def test_every_part_is_exact(sample, messages, mounts):
    mount = mounts(sample)
    for mailbox in {m.mailbox for m in messages}:
        for entry in os.listdir(mount.path / mailbox):
            if not entry.endswith("]"):
                continue
            message = by_uid(messages, mailbox)[uid_of(entry)]
            found = tree(mount.path / mailbox / entry)
            parts = {k: v for k, v in found.items() if not k.endswith("headers.txt")}
            assert sorted(parts) == sorted(message.files), entry
            assert parts == message.files, entry
            folders = {os.path.dirname(k) for k in found}
            assert all(os.path.join(f, "headers.txt") in found for f in folders), entry


NAMES = {
    1: "2025-03-02 Alice Smith - Quarterly report [1]",
    2: "2025-03-03 Jones, Bob - Lunch_ [2]",
    3: "2025-03-04 Jürgen Müller - Grüße aus Köln [3]",
    4: "2025-03-05 Иван Петров - Привет [4]",
    5: "2025-03-06 山田太郎 - 日本語の件名 [5]",
    6: "2025-03-07 Alice Smith - “Smart” subject [6]",
    7: "2025-03-08 Alice Smith - Emoji 🎉 and 你好 [7]",
    8: "2025-03-09 Alice Smith - no subject [8]",
    10: "2025-03-11 Alice Smith - Undated [10]",
    11: "2025-03-12 Alice Smith - Misdated [11]",
    14: "2025-03-15 unknown - Anonymous [14]",
}


def test_names(sample, mounts):
    mount = mounts(sample)
    names = {uid_of(e): e for e in os.listdir(mount.path / "INBOX") if e.endswith("]")}
    assert {uid: names[uid] for uid in NAMES} == NAMES
    for folder, below, files in os.walk(mount.path):
        for name in below + files:
            assert not set(name) & FORBIDDEN, name
            assert name == unicodedata.normalize("NFC", name)
            assert name[0] not in ".- " and name[-1] not in ". "
            limit = 204 if name.endswith(".eml") else 200
            assert len(name.encode()) <= limit, name
    assert [e for e in os.listdir(mount.path / "Sent") if e.endswith("]")] == [
        "2025-03-11 Carol White - Sent mail [1]"]


def test_names_are_the_same_again(sample, mounts):
    first = mounts(sample)
    before = {n: os.stat(first.path / "INBOX" / n).st_ino
              for n in os.listdir(first.path / "INBOX")}
    first.unmount()
    with first:
        after = {n: os.stat(first.path / "INBOX" / n).st_ino
                 for n in os.listdir(first.path / "INBOX")}
    assert after == before


def test_headers(sample, mounts):
    mount = mounts(sample)
    text = (mount.parts("Grüße") / "headers.txt").read_text(encoding="utf-8")
    assert "Subject: Grüße aus Köln\n" in text
    assert "From: Jürgen Müller <jm@example.de>\n" in text
    assert "\r" not in text
    long = (mount.parts("This subject goes on") / "headers.txt").read_text(encoding="utf-8")
    line = next(x for x in long.splitlines() if x.startswith("Subject: "))
    assert line.endswith("on 29")


def test_attributes(sample, messages, mounts):
    mount = mounts(sample)
    wanted = by_uid(messages, "INBOX")
    for entry in os.listdir(mount.path / "INBOX"):
        st = os.stat(mount.path / "INBOX" / entry)
        message = wanted[uid_of(entry)]
        assert st.st_mtime == message.internaldate.timestamp(), entry
        assert (st.st_uid, st.st_gid) == (os.getuid(), os.getgid())
        assert st.st_ino < 1 << 63
        if entry.endswith(".eml"):
            assert stat.filemode(st.st_mode) == "-rw-------"
            assert st.st_nlink == 1
            assert st.st_size == len(message.raw)
            assert st.st_blocks * 512 >= st.st_size
        else:
            assert stat.filemode(st.st_mode) == "drwx------"
    assert stat.filemode(os.stat(mount.path).st_mode) == "drwx------"


def test_a_path_named_outright(sample, messages, mounts):
    """Without any listing before it."""
    mount = mounts(sample)
    path = mount.path / "INBOX" / (NAMES[1] + ".eml")
    assert path.read_bytes() == by_uid(messages, "INBOX")[1].raw
    assert not os.path.exists(mount.path / "INBOX" / "2025-03-02 Somebody - Else [1].eml")
    assert not os.path.exists(mount.path / "INBOX" / "nothing")
    assert not os.path.exists(mount.path / "nothing")


def test_nothing_can_be_changed(dovecot_sample, mounts):
    mount = mounts(dovecot_sample, options=["ro"])
    path = mount.message("Quarterly")
    for action in (lambda: open(path, "r+b"), lambda: open(path, "ab")):
        with pytest.raises(OSError) as problem:
            action().close()
        assert problem.value.errno == errno.EROFS
    for action in (lambda: path.unlink(), lambda: (mount.path / "new").mkdir(),
                   lambda: (mount.path / "INBOX/x").write_bytes(b"x"),
                   lambda: path.rename(mount.path / "Trash/x.eml")):
        with pytest.raises(OSError) as problem:
            action()
        assert problem.value.errno == errno.EROFS
    assert path.exists()


def test_control(dovecot_sample, mounts):
    mount = mounts(dovecot_sample)
    assert ".mailmount" not in os.listdir(mount.path)
    assert os.path.isdir(mount.path / ".mailmount")
    status = (mount.path / ".mailmount/status").read_text()
    assert "localhost" in status and "secret" not in status
    found = subprocess.run(["grep", "-rl", "localhost", mount.path], capture_output=True,
                           text=True).stdout
    assert ".mailmount" not in found


def test_control_listed(dovecot_sample, mounts):
    mount = mounts(dovecot_sample, options=["control=listed"])
    assert ".mailmount" in os.listdir(mount.path)


@pytest.mark.parametrize("view", ["messages", "parts"])
def test_views(dovecot_sample, mounts, view):
    mount = mounts(dovecot_sample, options=["view=" + view])
    entries = os.listdir(mount.path / "INBOX")
    assert len(entries) == 29
    assert all(e.endswith(".eml") == (view == "messages") for e in entries)


def test_chosen_folders(dovecot_sample, mounts):
    mount = mounts(dovecot_sample, options=["folders=INBOX;Projekte/*;!*/Skizzen"])
    assert sorted(os.listdir(mount.path)) == ["INBOX", "Projekte"]
    assert os.listdir(mount.path / "Projekte") == ["Grün"]
    assert "Skizzen" not in os.listdir(mount.path / "Projekte/Grün")


def test_starttls(sample, mounts):
    mount = mounts(sample, tls="starttls")
    assert len(os.listdir(mount.path / "INBOX")) == 58


def test_several_accounts(dovecot_sample, cyrus, messages, mounts, folder):
    config = configparser.RawConfigParser()
    password = folder / "secret"
    password.write_text("secret\n")
    for name, server in (("one", dovecot_sample), ("two", cyrus)):
        config[name] = {"source": "imaps://alice@localhost:%d" % server.imaps_port,
                        "tls_ca": server.ca, "password_command": "cat %s" % password}
    with open(folder / "conf", "w") as file:
        config.write(file)
    mount = mounts(source="all", start=False)
    mount.arguments = ["-o", "config=%s" % (folder / "conf")]
    with mount:
        assert sorted(os.listdir(mount.path)) == ["one", "two"]
        assert len(os.listdir(mount.path / "one/INBOX")) == 58
        assert "INBOX" in os.listdir(mount.path / "two")
    single = mounts(source="one", start=False)
    single.arguments = ["-o", "config=%s" % (folder / "conf")]
    with single:
        assert "INBOX" in os.listdir(single.path)


def test_deep_and_wide(dovecot, user, mounts):
    """5,000 parts and 1,000 levels: bounded, the rest still readable."""
    flat = b"".join(b"--b\r\n\r\npart %d\r\n" % n for n in range(5000)) + b"--b--\r\n"
    wide = (b"From: a@example.org\r\nSubject: wide\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + flat)
    deep = b"From: a@example.org\r\nSubject: deep\r\nMIME-Version: 1.0\r\n"
    for level in range(1000):
        deep += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
    deep += b"Content-Type: text/plain\r\n\r\nbottom\r\n"
    with dovecot.client(user) as client:
        for raw in (wide, deep):
            assert client.append(b"INBOX", raw) is None
    mount = mounts(dovecot, user=user)
    assert mount.message("wide").read_bytes() == wide
    assert mount.message("deep").read_bytes() == deep
    parts = tree(mount.parts("wide"))
    assert len(parts) == 5001
    assert {v for k, v in parts.items() if k != "headers.txt"} >= {b"part 4999", b"part 0"}
    assert tree(mount.parts("deep"))


def test_read_only_what_is_there(dovecot, user, mounts):
    """An empty account."""
    mount = mounts(dovecot, user=user)
    assert os.listdir(mount.path / "INBOX") == []


# ---- on the scripted server

@pytest.mark.parametrize("delimiter", [".", "/", None])
def test_delimiters(mounts, messages, delimiter):
    message = messages[0]
    separator = delimiter or "/"
    boxes = {"INBOX": [message], "Lists": scripted.Mailbox([], "\\Noselect"),
             separator.join(("Lists", "Dev")): [message]}
    with scripted.Scripted(boxes, delimiter=delimiter) as server:
        mount = mounts(server)
        if delimiter:
            assert sorted(os.listdir(mount.path)) == ["INBOX", "Lists"]
            assert [e for e in os.listdir(mount.path / "Lists")] == ["Dev"]
            assert mount.message("Quarterly", "Lists/Dev").read_bytes() == message.raw
        else:
            assert sorted(os.listdir(mount.path)) == ["INBOX", "Lists", "Lists%2FDev"]
            assert mount.message("Quarterly", "Lists%2FDev").read_bytes() == message.raw
        mount.unmount()


FLAWS = {
    "broken structure": {"structure": lambda uid, s: b"(NIL NIL NIL)"},
    "structure cut off": {"structure": lambda uid, s: s[:len(s) // 2] + b")" * s[:len(s) // 2].count(b"(")},
    "structure of another message": {"structure": lambda uid, s:
                                     b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1 NIL NIL NIL NIL)'},
    "no structure": {"structure": lambda uid, s: b"NIL"},
    "wrong part sizes": {"structure": lambda uid, s: s.replace(b'"BASE64" ', b'"BASE64" 1')},
    "UID last": {"uid_last": True},
    "chatter": {"chatter": True},
    "partial ignored": {"whole": True},
}


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("capabilities", [scripted.CAPABILITIES, "IMAP4rev1"],
                         ids=["modern", "bare"])
def test_flaws_do_not_show(mounts, messages, flaw, capabilities):
    inbox = [m for m in messages if m.mailbox == "INBOX"]
    with scripted.Scripted({"INBOX": inbox}, FLAWS[flaw], capabilities=capabilities) as server:
        mount = mounts(server)
        for entry in os.listdir(mount.path / "INBOX"):
            message = inbox[uid_of(entry) - 1]
            if entry.endswith(".eml"):
                assert (mount.path / "INBOX" / entry).read_bytes() == message.raw, entry
            else:
                assert settled_parts(mount.path / "INBOX" / entry) == message.files, entry
        mount.unmount()


def settled_parts(path):
    """The parts once a structure that proved wrong was replaced: until then errors, and names that
    go away."""
    for turn in range(3):
        try:
            found = tree(path)
            break
        except OSError:
            if turn == 2:
                raise
    return {k: v for k, v in found.items() if not k.endswith("headers.txt")}


def test_a_body_that_never_comes(mounts, messages):
    """NIL, left out, another message's: an error, never wrong bytes; the rest can be read."""
    inbox = messages[:4]

    def body(uid, section, data):
        return None if uid == 2 and not section.startswith("HEADER.") else data
    with scripted.Scripted({"INBOX": inbox}, {"body": body, "no_body": {3}}) as server:
        mount = mounts(server, options=["timeout=3"])
        names = {uid_of(e): mount.path / "INBOX" / e for e in os.listdir(mount.path / "INBOX")
                 if e.endswith(".eml")}
        assert len(names) == 4
        for uid in (2, 3):
            with pytest.raises(OSError) as problem:
                names[uid].read_bytes()
            assert problem.value.errno == errno.EIO
        for uid in (1, 4):
            assert names[uid].read_bytes() == inbox[uid - 1].raw
        mount.unmount()


# ---- over time

def test_offline(dovecot_sample, through, messages, mounts):
    proxy = through(dovecot_sample)
    mount = mounts(dovecot_sample, port=proxy.port, tls="none", options=["timeout=5"])
    names = sorted(os.listdir(mount.path / "INBOX"))
    first, last = mount.message("Quarterly"), mount.message("Signed")
    assert first.read_bytes() == messages[0].raw
    mount.unmount()
    proxy.go_away()
    done = mount.run()
    assert done.returncode == 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(os.listdir(mount.path / "INBOX")) == names
    assert first.read_bytes() == messages[0].raw
    with pytest.raises(OSError) as problem:
        last.read_bytes()
    assert problem.value.errno == errno.ENETUNREACH
    proxy.come_back()
    assert wait_for(lambda: readable(last))
    mount.unmount()


def readable(path):
    try:
        return path.read_bytes()
    except OSError:
        return None


def test_offline_without_a_cache(dovecot_sample, through, mounts):
    proxy = through(dovecot_sample)
    proxy.go_away()
    done = mounts(dovecot_sample, start=False, port=proxy.port, tls="none").run()
    assert done.returncode == 3


def test_a_cut_connection_is_taken_up_again(dovecot_sample, through, messages, mounts):
    proxy = through(dovecot_sample)
    mount = mounts(dovecot_sample, port=proxy.port, tls="none")
    first, last = mount.message("Quarterly"), mount.message("Signed")
    assert first.read_bytes() == messages[0].raw
    proxy.cut()
    assert wait_for(lambda: readable(last))


def test_another_uidvalidity(mounts, messages):
    old, new = messages[0], messages[1]
    with scripted.Scripted({"INBOX": [old]}) as server:
        mount = mounts(server)
        assert mount.message("Quarterly").read_bytes() == old.raw
        mount.unmount()
        server.mailboxes["INBOX"] = scripted.Mailbox([new], uidvalidity=1700000999)
        with mount:
            assert len(os.listdir(mount.path / "INBOX")) == 2
            assert mount.message("Lunch").read_bytes() == new.raw


def test_new_and_removed_mail_after_a_remount(dovecot, user, mounts, messages):
    with dovecot.client(user) as client:
        for message in messages[:3]:
            client.append(b"INBOX", message.raw)
        mount = mounts(dovecot, user=user)
        assert len(os.listdir(mount.path / "INBOX")) == 6
        mount.unmount()
        client.append(b"INBOX", messages[4].raw)
        client.command(b"SELECT INBOX")
        client.command(b"UID STORE 2 +FLAGS.SILENT (\\Deleted)")
        client.command(b"EXPUNGE")
    mounts.flags.clear()  # SELECT took \\Recent away
    with mount:
        assert sorted(uid_of(e) for e in os.listdir(mount.path / "INBOX")
                      if e.endswith("]")) == [1, 3, 4]
        assert mount.message("日本語").read_bytes() == messages[4].raw


@pytest.mark.parametrize("damage", ["zeros", "cut short", "garbage", "empty"])
def test_damaged_cache(dovecot_sample, mounts, messages, damage):
    mount = mounts(dovecot_sample)
    assert mount.message("Quarterly").read_bytes() == messages[0].raw
    mount.unmount()
    files = [f for f in (mount.folder / ".cache").rglob("*") if f.name.endswith("mdb")
             or f.stat().st_size >= 8192 and f.is_file()]
    assert files
    for file in files:
        data = file.read_bytes()
        middle = len(data) // 3
        file.write_bytes({
            "zeros": data[:middle] + bytes(len(data) - middle),
            "cut short": data[:middle],
            "garbage": data[:middle] + mail.noise(len(data) - middle),
            "empty": b""}[damage])
    # LMDB may crash on what it finds; then the worker must be seen to die of it
    mount.environment["ASAN_OPTIONS"] += ":handle_segv=0:handle_sigbus=0"
    done = mount.run()
    assert done.returncode == 0, done.stderr
    wanted = by_uid(messages, "INBOX")
    for entry in os.listdir(mount.path / "INBOX"):
        if entry.endswith(".eml"):
            assert (mount.path / "INBOX" / entry).read_bytes() == wanted[uid_of(entry)].raw
    mount.unmount()
