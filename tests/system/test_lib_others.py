"""Other clients of the tests: what they do arrives, and what they see is what there is, on servers
of each kind. The cutter, between a client and each."""
import imaplib
import os

import pytest

from lib import others
from lib.others import Other, Refusal, assert_one_each, copies, copy_of, problems_with

WHEN = 1740830400
LOST = (imaplib.IMAP4.abort, OSError)


def letter(number, size=0):
    return (b"From: a@example.org\r\nTo: b@example.org\r\nSubject: Letter %d\r\n"
            b"Message-ID: <%d@others>\r\n\r\nLetter %d\r\n%s" % (
                number, number, number, b"A line.\r\n" * (size // 9)))


def key(number):
    return "<%d@others>" % number


@pytest.fixture
def other(full_server, user):
    with Other(full_server, user) as made:
        yield made


def test_special_uses(full_server, other):
    folders = other.folders()
    assert {"INBOX", "Trash", "Drafts", "Sent", "Archive"} <= set(folders)
    if full_server.name != "plain" or full_server.has("SPECIAL-USE"):
        for name in ("Trash", "Drafts", "Sent", "Archive"):
            assert "\\" + name.lower() in folders[name]


def test_deliver_mark_expunge(full_server, other, user):
    first = [letter(n) for n in range(1, 4)]
    for raw in first:
        other.deliver("INBOX", raw, ["\\Seen"], WHEN)
    uids = other.uids("INBOX")
    assert len(uids) == 3
    other.mark_deleted("INBOX", uids[:1])
    other.mark("INBOX", uids[1:2], ["\\Flagged", "$Work"])
    assert other.uids("INBOX", "DELETED") == uids[:1]
    wanted = {key(1): copy_of("INBOX", first[0], ["\\Seen", "\\Deleted"], WHEN),
              key(2): copy_of("INBOX", first[1], ["\\Seen", "\\Flagged", "$Work"], WHEN),
              key(3): copy_of("INBOX", first[2], ["\\Seen"], WHEN)}
    assert_one_each(full_server, user, wanted)
    assert others.state(full_server, user) == wanted
    other.expunge("INBOX")
    del wanted[key(1)]
    assert_one_each(full_server, user, wanted)


def test_move_and_expunge_of_one(full_server, other, user):
    raw = letter(1)
    other.deliver("INBOX", raw, [], WHEN)
    uids = other.uids("INBOX")
    if full_server.name == "plain" and not full_server.has("MOVE"):
        with pytest.raises(Refusal):
            other.move("INBOX", uids, "Archive")
        with pytest.raises(Refusal):
            other.expunge("INBOX", uids)
        return
    other.move("INBOX", uids, "Archive")
    assert_one_each(full_server, user, {key(1): copy_of("Archive", raw, [], WHEN)})
    other.expunge("Archive", other.uids("Archive"))
    assert_one_each(full_server, user, {})


def test_folders(full_server, other, user):
    other.create("Work")
    other.deliver("Work", letter(1))
    other.rename("Work", 'Wo rk "2"' if full_server.name == "plain" else "Wo rk 2")
    assert [c[0].folder for c in copies(full_server, user).values()][0].startswith("Wo rk ")
    other.create("Gone")
    other.delete("Gone")
    assert "Gone" not in other.folders() and "Work" not in other.folders()


def test_what_is_wrong_is_said():
    one, two = letter(1), letter(2)
    found = {key(1): [copy_of("INBOX", one, [], 1), copy_of("Trash", one, [], 1)],
             key(2): [copy_of("INBOX", two, ["\\Seen"], 2)], key(3): [copy_of("INBOX", one)]}
    wanted = {key(1): copy_of("INBOX", one, [], 1), key(2): copy_of("INBOX", two, ["\\Seen"], 2),
              key(4): copy_of("INBOX", one)}
    lines = problems_with(found, wanted)
    assert len(lines) == 3, lines
    assert "lost" in lines[0] and "nowhere" in lines[1] and "2 times" in lines[2]
    for other_ in (copy_of("Trash", two, ["\\Seen"], 2), copy_of("INBOX", one, ["\\Seen"], 2),
                   copy_of("INBOX", two, [], 2), copy_of("INBOX", two, ["\\Seen"], 3)):
        assert len(problems_with({key(2): found[key(2)]}, {key(2): other_})) == 1
    loose = others.Copy("INBOX", None, None, None)
    assert not problems_with({key(2): found[key(2)]}, {key(2): loose})


def test_quota_and_rights(full_server, user):
    full_server.set_quota(user, 50)
    with Other(full_server, user) as other:
        other.deliver("INBOX", letter(1))
        with pytest.raises(Refusal, match="(?i)quota"):
            other.deliver("INBOX", letter(2, 60_000))
    full_server.set_rights(user, "Archive", "lra")
    with Other(full_server, user) as other:
        with pytest.raises(Refusal, match="NO"):
            other.deliver("Archive", letter(3))
    full_server.set_rights(user, "Archive", "lrswipkxtea")
    with Other(full_server, user) as other:
        other.deliver("Archive", letter(4))
    assert set(copies(full_server, user)) == {key(1), key(4)}


@pytest.mark.parametrize("where", ["before", "after"])
def test_appends_cut_anywhere_leave_one_copy_or_none(full_server, user, cutting, where):
    cutter = cutting(full_server)

    def run():
        imap = imaplib.IMAP4("127.0.0.1", cutter.port, 60)
        try:
            imap.login(user, "secret")
            imap.append("Archive", None, None, letter(at))
            imap.noop()
        finally:
            imap.shutdown()

    at = 0
    run()
    count = cutter.count()
    assert [s.what for s in cutter.steps] == ["line", "answer", "first", "second", "line",
                                              *["answer"] * (count - 5)]
    for at in range(1, count + 1):
        cutter.arm(at, where)
        with pytest.raises(LOST):
            run()
        assert cutter.wait_fired()
        assert cutter.fired.number == at
    found = copies(full_server, user)
    assert all(len(v) == 1 for v in found.values()), found
    # without its last line nothing is stored; what was answered is
    whole = 5 if where == "before" else 4
    assert not {key(n) for n in range(1, whole + 1)} & set(found)
    assert {key(0), *(key(n) for n in range(6, count + 1))} <= set(found)


def test_a_change_cut_before_its_answer_is_done(full_server, user, cutting):
    bare = full_server.name == "plain" and not full_server.has("MOVE")
    verb = "COPY" if bare else "MOVE"
    with Other(full_server, user) as other:
        other.deliver("INBOX", letter(1), ["\\Seen"], WHEN)
    cutter = cutting(full_server, commands=("UID " + verb,))
    imap = imaplib.IMAP4("127.0.0.1", cutter.port, 60)
    imap.login(user, "secret")
    imap.select("INBOX")
    cutter.arm(2, "before", then="refuse")
    with pytest.raises(LOST):
        imap.uid(verb, "1", "Archive")
    assert [(s.what, s.command) for s in cutter.steps] == [("line", "UID " + verb),
                                                            ("answer", "UID " + verb)]
    with pytest.raises(OSError):
        imaplib.IMAP4("127.0.0.1", cutter.port, 5)
    there = copy_of("Archive", letter(1), ["\\Seen"], WHEN)
    if not bare:
        assert_one_each(full_server, user, {key(1): there})
        return
    assert set(copies(full_server, user)[key(1)]) == {there, there._replace(folder="INBOX")}
    with pytest.raises(AssertionError, match="2 times"):
        assert_one_each(full_server, user, {key(1): there})


def test_a_mount_reads_through_the_cutter(full_server, user, cutting, mounts):
    with Other(full_server, user) as other:
        other.deliver("INBOX", letter(1))
        other.deliver("Archive", letter(2))
    cutter = cutting(full_server)
    mount = mounts(full_server, user=user, port=cutter.port, tls="none", options=["ro"])
    assert mount.message("Letter 1").read_bytes() == letter(1)
    assert mount.message("Letter 2", "Archive").read_bytes() == letter(2)
    assert {"Trash", "Drafts", "Sent"} <= set(os.listdir(mount.path))
    assert [s for s in cutter.steps if s.command != "SELECT"] == []
    assert not getattr(full_server, "violations", [])


@pytest.mark.parametrize("then", ["pass", "refuse"])
def test_a_mount_is_killed_at_a_step(full_server, user, cutting, mounts, then):
    with Other(full_server, user) as other:
        other.deliver("Archive", letter(1))
    cutter = cutting(full_server, commands=("EXAMINE", "SELECT"))
    mount = mounts(full_server, user=user, port=cutter.port, tls="none", writes=True)
    cutter.arm(2, callback=mount.kill, then=then)
    with pytest.raises(OSError):
        for folder in ("Archive", "Sent", "Drafts", "Trash"):
            for name in os.listdir(mount.path / folder):
                (mount.path / folder / name).stat()
    assert cutter.wait_fired() and cutter.fired.what == "answer"
    assert not mount.processes()
    mount.unmount()
    cutter.arm()
    cutter.come_back()
    assert mount.run().returncode == 0
    assert mount.message("Letter 1", "Archive").read_bytes() == letter(1)
