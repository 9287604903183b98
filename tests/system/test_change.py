"""Changing mail by file operations, on a real server: what is on it afterwards, and what is refused
and changes nothing."""
import errno
import os
import re
import signal
import subprocess
import threading

import pytest

from lib.client import ImapError
from lib.mount import mounted, wait_for

MAILBOXES = ["A", "B", "B/C"]


def raw(number):
    return (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\n"
            b"Date: Fri, 20 Nov 2026 10:00:%02d +0000\r\nSubject: number %d\r\n"
            b"Message-ID: <n%d@example.org>\r\n\r\nbody %d\r\n" % (number, number, number, number))


class Account:
    """A user of a server with mail of its own, mounted."""

    def __init__(self, server, user, mounts, messages=4, **options):
        self.server, self.user = server, user
        with server.client(user) as client:
            for mailbox in MAILBOXES:
                client.command(b'CREATE "%s"' % mailbox.encode())
            for number in range(1, messages + 1):
                client.append(b"A", raw(number))
        self.mount = mounts(server, user=user, **options)
        mounts.flags.pop((server, user), None)  # these mounts select, which takes \Recent away
        self.path = self.mount.path

    def names(self, mailbox):
        return sorted(os.listdir(self.path / mailbox))

    def messages(self, mailbox):
        return [n for n in self.names(mailbox) if n.endswith("].eml")]

    def message(self, number, mailbox="A"):
        found = [n for n in self.messages(mailbox) if "number %d " % number in n]
        assert len(found) == 1, (number, self.names(mailbox))
        return self.path / mailbox / found[0]

    def sync(self, mailbox="A"):
        """Waits until the server has everything."""
        fd = os.open(self.path / mailbox, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def on_server(self):
        """{mailbox: sorted numbers of the messages that are in it}"""
        def read():
            # of a mailbox that is renamed while it is read Dovecot has no bytes, or it ends the
            # connection: look once more
            try:
                with self.server.client(self.user) as client:
                    found = {mailbox.decode(): [body for _, body in client.bodies(mailbox)]
                             for mailbox in client.mailboxes()}
            except ImapError:
                return None
            whole = all(b"body " in body for bodies in found.values() for body in bodies)
            return found if whole else None
        found = wait_for(read)
        return {name: sorted(int(body.rsplit(b"body ", 1)[1]) for body in bodies)
                for name, bodies in found.items()}

    def status(self):
        return (self.path / ".mailmount/status").read_text()


@pytest.fixture
def account(dovecot, user, mounts):
    def make(**options):
        return Account(dovecot, user, mounts, **options)
    return make


def run(*command, **options):
    return subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, **options)


def ok(*command, **options):
    done = run(*command, **options)
    assert done.returncode == 0 and not done.stderr, (command, done.returncode, done.stderr)


def fails(wanted, function, *arguments):
    with pytest.raises(OSError) as caught:
        function(*arguments)
    assert caught.value.errno == wanted, (errno.errorcode[caught.value.errno], caught.value)


# ---- messages

def test_mv(account):
    mine = account()
    source = mine.message(1)
    ok("mv", source, mine.path / "B/")
    assert not source.exists()
    moved = mine.path / "B" / source.name
    assert moved.read_bytes() == raw(1)
    assert len(mine.messages("A")) == 3
    assert len(mine.messages("B")) == 1
    mine.sync()
    server = mine.on_server()
    assert server["A"] == [2, 3, 4] and server["B"] == [1]
    assert moved.read_bytes() == raw(1)


def test_mv_under_another_name(account):
    mine = account()
    ok("mv", mine.message(3), mine.path / "B/mine.eml")
    assert (mine.path / "B/mine.eml").read_bytes() == raw(3)
    mine.sync()
    assert (mine.path / "B/mine.eml").read_bytes() == raw(3)
    assert mine.message(3, "B").read_bytes() == raw(3)
    mine.mount.unmount()
    with mine.mount:  # the name is remembered
        assert (mine.path / "B/mine.eml").read_bytes() == raw(3)


def test_mv_of_a_directory(account):
    mine = account()
    parts = mine.message(1).with_suffix("")
    ok("mv", parts, mine.path / "B/")
    assert len(mine.messages("A")) == 3
    mine.sync()
    assert mine.on_server()["B"] == [1]
    assert (mine.message(1, "B").with_suffix("") / "body.txt").read_text() == "body 1\n"


def test_mv_of_everything(account):
    """Directories come first in the shell's order."""
    mine = account()
    ok("sh", "-c", "mv A/* B/", cwd=mine.path)
    assert mine.names("A") == []
    mine.sync()
    assert mine.on_server()["B"] == [1, 2, 3, 4]
    assert len(mine.names("B")) == 9  # and C
    ok("sh", "-c", "set -- B/*]; mv B/*.eml A/ && mv \"$@\" A/", cwd=mine.path)
    mine.sync()
    server = mine.on_server()
    assert server["A"] == [1, 2, 3, 4] and server["B"] == []
    assert mine.names("B") == ["C"]


def test_mv_over_a_message(account):
    mine = account()
    ok("mv", mine.message(2), mine.path / "B/")
    mine.sync()
    ok("mv", "-f", mine.message(1), mine.message(2, "B"))
    mine.sync()
    server = mine.on_server()
    assert server["B"] == [1] and server["Trash"] == [2] and server["A"] == [3, 4]


def test_rm(account):
    mine = account()
    ok("rm", mine.message(2))
    assert len(mine.messages("A")) == 3
    mine.sync()
    assert mine.on_server()["Trash"] == [2]
    ok("rm", mine.message(2, "Trash"))
    mine.sync()
    server = mine.on_server()
    assert server["Trash"] == [] and server["A"] == [1, 3, 4]


def test_rm_of_all_files(account):
    mine = account()
    ok("sh", "-c", "rm A/*.eml", cwd=mine.path)
    assert mine.names("A") == []
    mine.sync()
    server = mine.on_server()
    assert server["Trash"] == [1, 2, 3, 4] and server["A"] == []


def test_rm_of_a_folder(account):
    mine = account()
    ok("rm", "-r", mine.path / "A")
    assert "A" not in os.listdir(mine.path)
    mine.sync("")
    server = mine.on_server()
    assert "A" not in server and server["Trash"] == [1, 2, 3, 4]


def test_rm_for_good(account):
    """Nothing goes that another client has marked."""
    mine = account(options=["delete=expunge"])
    with mine.server.client(mine.user) as client:
        client.command(b"SELECT A")
        client.command(b"UID STORE 3 +FLAGS.SILENT (\\Deleted)")
    ok("rm", mine.message(2))
    mine.sync()
    server = mine.on_server()
    assert server["A"] == [1, 3, 4] and server["Trash"] == []


# ---- folders

def test_folders(account):
    mine = account()
    ok("mkdir", "-p", mine.path / "Neu/Grün & blau")
    ok("mv", mine.message(1), mine.path / "Neu/Grün & blau/")
    mine.sync("")
    server = mine.on_server()
    assert server["Neu/Gr&APw-n &- blau"] == [1]
    ok("mv", mine.path / "Neu", mine.path / "B/Alt")
    assert os.listdir(mine.path / "B/Alt") == ["Grün & blau"]
    assert len(mine.messages("B/Alt/Grün & blau")) == 1
    mine.sync("")
    server = mine.on_server()
    assert server["B/Alt/Gr&APw-n &- blau"] == [1] and "Neu" not in server
    ok("rm", "-r", mine.path / "B/Alt")
    mine.sync("")
    server = mine.on_server()
    assert "B/Alt" not in server and server["Trash"] == [1]
    ok("rmdir", mine.path / "B/C", mine.path / "B")
    mine.sync("")
    assert "B" not in mine.on_server()


# ---- refused, with nothing changed

def test_refused(account):
    mine = account()
    path, before = mine.path, mine.on_server()
    one, two = mine.message(1), mine.message(2)
    parts = one.with_suffix("")
    listing = mine.names("A")
    fails(errno.EPERM, os.unlink, parts / "headers.txt")
    fails(errno.EPERM, os.unlink, path / ".mailmount/status")
    fails(errno.EPERM, os.rename, parts / "headers.txt", parts / "x")
    fails(errno.EPERM, os.rename, one, path / "A/other.eml")
    fails(errno.EPERM, os.rename, one, path / "x.eml")
    fails(errno.EPERM, os.symlink, "x", path / "A/link")
    fails(errno.EPERM, os.link, one, path / "B/link.eml")
    fails(errno.EPERM, os.mkfifo, path / "A/fifo")
    fails(errno.EPERM, os.mkdir, path / ".Trash-1000")
    fails(errno.EPERM, os.mkdir, path / "B" / parts.name)
    fails(errno.EPERM, os.mkdir, parts / "x")
    fails(errno.EPERM, os.rename, path / "INBOX", path / "x")
    fails(errno.EPERM, os.rmdir, path / "INBOX")
    fails(errno.EINVAL, os.mkdir, path / "a%2Fb")
    fails(errno.EINVAL, os.rename, path / "B", path / "B/C/D")
    fails(errno.EEXIST, os.mkdir, path / "B")
    fails(errno.EEXIST, os.mkdir, path / "b")
    fails(errno.ENOTEMPTY, os.rmdir, path / "A")
    fails(errno.ENOTEMPTY, os.rmdir, path / "B")
    fails(errno.ENOTEMPTY, os.rmdir, parts)
    fails(errno.ENOTEMPTY, os.rename, path / "B", path / "A")
    fails(errno.EISDIR, os.rename, one, two.with_suffix(""))
    fails(errno.ENOTDIR, os.rename, parts, two)
    fails(errno.EACCES, open, one, "ab")
    mine.sync("")
    assert mine.names("A") == listing
    assert mine.on_server() == before


def test_read_only(account):
    mine = account(options=["ro"])
    fails(errno.EROFS, os.unlink, mine.message(1))
    fails(errno.EROFS, os.mkdir, mine.path / "x")
    fails(errno.EROFS, os.rename, mine.message(1), mine.path / "B/x.eml")
    assert not (mine.mount.folder / ".local/state/mailmount").exists()


# ---- what waits

def test_status(account):
    mine = account()
    ok("rm", mine.message(1))
    mine.sync()
    lines = mine.status().splitlines()
    assert "changes to be sent: 0" in lines
    assert "messages that could not be sent: 0" in lines
    assert os.listdir(mine.path / ".mailmount/failed") == []


def test_offline_and_killed(dovecot, user, mounts, through):
    """What was done without the server, and outlived kill -9, is done when it is back."""
    proxy = through(dovecot)
    mine = Account(dovecot, user, mounts, port=proxy.port, tls="none")
    name = mine.message(1).name
    assert mine.names("B") == ["C"] and mine.names("Trash") == []
    proxy.go_away()
    ok("mv", mine.message(1), mine.path / "B/")
    ok("rm", mine.message(2))
    ok("mkdir", mine.path / "New")
    ok("mv", mine.message(3), mine.path / "New/")
    ok("mv", mine.path / "New", mine.path / "Newer")

    def check():
        assert len(mine.messages("A")) == 1
        assert name in mine.names("B")
        assert len(mine.messages("Newer")) == 1 and "New" not in os.listdir(mine.path)
        assert "changes to be sent: 5" in mine.status()
    check()
    os.kill(mine.mount.worker(), signal.SIGKILL)
    assert wait_for(lambda: not mine.mount.processes() and not mounted(mine.path))
    with mine.mount:
        check()
        proxy.come_back()
        assert wait_for(lambda: mine.on_server().get("Newer") == [3])
        mine.sync("")
        server = mine.on_server()
        assert server["A"] == [4] and server["B"] == [1] and server["Trash"] == [2]
        assert "New" not in server
        assert "changes to be sent: 0" in mine.status()


def test_fsync_of_what_was_refused(mounts, usual_plain, user):
    """A change that fails since its message or mailbox is gone is no sign that the folder is."""
    mine = Account(usual_plain, user, mounts)
    usual_plain.fault("^UID MOVE", answer="NO [NONEXISTENT] it is gone", delay=1)
    ok("mv", mine.message(1), mine.path / "B/")
    fails(errno.EIO, mine.sync, "A")
    assert "last refusal: move A/" in mine.status()
    mine.sync("A")


def test_made_and_offline(dovecot, user, mounts, through):
    """A folder that was made here is known to be empty, and then to hold what was moved into it."""
    proxy = through(dovecot)
    mine = Account(dovecot, user, mounts, port=proxy.port, tls="none")
    for name in ("New", "Filled", "Old"):
        ok("mkdir", mine.path / name)
    bodies = {n: mine.message(n).read_bytes() for n in (1, 2)}
    ok("mv", mine.message(2), mine.path / "Filled/")
    mine.sync("")
    assert wait_for(lambda: "changes to be sent: 0" in mine.status())
    proxy.go_away()
    assert wait_for(lambda: "state: offline" in mine.status())
    ok("mv", mine.path / "Old", mine.path / "Older")
    assert mine.names("New") == mine.names("Older") == []
    ok("mv", mine.message(1), mine.path / "New/")
    ok("mv", mine.message(3), mine.path / "Older/")
    assert len(mine.messages("Older")) == 1
    assert mine.message(1, "New").read_bytes() == bodies[1]
    assert mine.message(2, "Filled").read_bytes() == bodies[2]
    proxy.come_back()
    assert wait_for(lambda: mine.on_server().get("Older") == [3])
    assert mine.on_server()["New"] == [1] and mine.on_server()["Filled"] == [2]


def test_made_and_filled_by_another(dovecot, user, mounts, through):
    """What comes to a folder that was made here is seen without anybody looking into it."""
    proxy = through(dovecot)
    mine = Account(dovecot, user, mounts, port=proxy.port, tls="none", options=["poll=5"])
    ok("mkdir", mine.path / "New")
    mine.sync("")
    before = os.stat(mine.path / "New").st_mtime_ns
    with dovecot.client(user) as client:
        client.append(b"New", raw(9))
    assert wait_for(lambda: os.stat(mine.path / "New").st_mtime_ns != before)
    proxy.go_away()
    assert wait_for(lambda: "state: offline" in mine.status())
    assert len(mine.messages("New")) == 1


def test_refused_by_the_server_later(dovecot, user, mounts, through):
    """A folder that got mail meanwhile comes back, with the reason."""
    proxy = through(dovecot)
    mine = Account(dovecot, user, mounts, port=proxy.port, tls="none")
    assert mine.names("B") == ["C"] and mine.names("B/C") == []
    proxy.go_away()
    ok("rmdir", mine.path / "B/C")
    assert mine.names("B") == []
    with dovecot.client(user) as client:
        client.append(b"B/C", raw(9))
    proxy.come_back()
    assert wait_for(lambda: mine.names("B") == ["C"])
    assert wait_for(lambda: "last refusal: " in mine.status())
    assert "changes to be sent: 0" in mine.status()
    assert mine.on_server()["B/C"] == [9]


def test_fsync_offline(dovecot, user, mounts, through):
    proxy = through(dovecot)
    mine = Account(dovecot, user, mounts, port=proxy.port, tls="none", options=["timeout=2"])
    one = mine.message(1)
    proxy.go_away()
    ok("rm", one)
    with pytest.raises(OSError) as caught:
        mine.sync()
    assert caught.value.errno in (errno.ETIMEDOUT, errno.ENETUNREACH)
    proxy.come_back()
    assert wait_for(lambda: mine.on_server()["Trash"] == [1])


def test_trash_by_consent(dovecot, user, mounts):
    """Dovecot's Trash is marked; without the mark the configuration must say where to."""
    with dovecot.client(user) as client:
        client.command(b'DELETE "Trash"')
    mine = Account(dovecot, user, mounts, options=["folders=!Trash"])
    before = mine.on_server()
    fails(errno.EPERM, os.unlink, mine.message(1))
    assert "deleting: refused" in mine.status()
    assert mine.on_server() == before
    mine.mount.unmount()
    mine.mount.arguments += ["-o", "trash=Old/Bin"]
    with mine.mount:
        ok("rm", mine.message(1))
        mine.sync()
        assert mine.on_server()["Old/Bin"] == [1]


def test_view_parts(account):
    mine = account(options=["view=parts"])
    names = mine.names("A")
    ok("rmdir", mine.path / "A" / names[0])
    ok("mv", mine.path / "A" / names[1], mine.path / "B/")
    mine.sync()
    server = mine.on_server()
    assert server["Trash"] == [1] and server["B"] == [2]


# ---- while the server does it

@pytest.mark.parametrize("omit", [(), ("COPYUID",)], ids=["copyuid", "no-copyuid"])
def test_mv_is_never_in_neither_folder(mounts, usual_plain, user, omit):
    """The server tells that the messages went, and then takes its time with the other folder's
    list: they are listed there all the while."""
    mine = Account(usual_plain, user, mounts)
    usual_plain.omit = set(omit)
    assert mine.names("B/C") == [] and mine.messages("B") == []
    names = mine.messages("A")
    assert len(names) == 4

    def watched():  # by a connection that hears what another does
        return {n for n, line in usual_plain.log if line == "IDLE"}
    assert wait_for(lambda: mine.names("B/C") == [] and mine.messages("A") and len(watched()) > 1)
    opened = os.open(mine.path / "B", os.O_RDONLY | os.O_DIRECTORY)
    released = threading.Event()

    def shown():  # as it is held open: nothing waits for a list
        found = sorted(n for n in os.listdir(opened) if n.endswith("].eml"))
        assert len(found) == 4, found
        return found
    try:
        usual_plain.fault(r"^(SELECT|EXAMINE) \"?B\b", hold=released)
        ok("mv", *(mine.path / "A" / name for name in names), mine.path / "B/")
        assert shown() == names
        assert wait_for(lambda: shown() and usual_plain.sent("^UID MOVE") and
                        usual_plain.sent(r"^(SELECT|EXAMINE) \"?B\b.*"))
        if not omit:  # else it looks into the folder, to know where they are
            assert wait_for(lambda: shown() and "changes to be sent: 0" in mine.status())
        for _ in range(50):
            assert shown() == names
        released.set()
        mine.sync()
        shown()
    finally:
        released.set()
        os.close(opened)
    assert len(mine.messages("B")) == 4 and mine.messages("A") == []
    assert mine.on_server()["B"] == [1, 2, 3, 4]


# ---- what the server says of a mailbox at once

REFUSALS = [
    ("mkdir", r"^CREATE", lambda top: os.mkdir(top / "New")),
    ("rename", r"^RENAME", lambda top: os.rename(top / "A", top / "New")),
    ("rmdir", r"^DELETE", lambda top: os.rmdir(top / "B/C")),
]


@pytest.mark.parametrize("name,command,action", REFUSALS, ids=[r[0] for r in REFUSALS])
@pytest.mark.parametrize("answer,expected", [("NO [CANNOT] such a name", errno.EINVAL),
                                             ("NO [NOPERM] not you", errno.EACCES)])
def test_a_mailbox_refused(mounts, usual_plain, user, name, command, action, answer, expected):
    """Who makes, renames or removes a folder hears that the server will not have it."""
    mine = Account(usual_plain, user, mounts)
    top = [mine.names(folder) for folder in ("", "A", "B")]
    usual_plain.refuse(command, answer)
    fails(expected, action, mine.path)
    assert wait_for(lambda: [mine.names(folder) for folder in ("", "A", "B")] == top)
    assert "last refusal: " in mine.status()
    assert "changes to be sent: 0" in mine.status()


def test_a_list_of_yesterday(mounts, usual_plain, user):
    """Dovecot's sessions may go on listing mailboxes as they were before another one changed them:
    what was done in the mount stays as it was done."""
    usual_plain.remembers_list = True
    mine = Account(usual_plain, user, mounts)
    for folder in ("A", "B", "B/C"):  # several connections, each in a mailbox
        mine.names(folder)
    assert wait_for(lambda: usual_plain.sent("^IDLE"))

    def lists():
        return len(usual_plain.sent("^LIST"))
    for number, change in enumerate((
            lambda: os.mkdir(mine.path / "New"),
            lambda: os.rename(mine.path / "A", mine.path / "Newer"),
            lambda: os.rmdir(mine.path / "B/C"))):
        mine.names("")
        change()
        mine.sync("")
        there = mine.names(""), mine.names("B")
        changed = [n for n, line in usual_plain.log if re.match("CREATE New|RENAME|DELETE", line)]
        assert len(changed) == number + 1
        next(s for s in usual_plain.sessions if s.number == changed[-1]).close()
        before = lists()
        assert wait_for(lambda: mine.names("") and lists() > before + 1)
        mine.sync("")
        assert (mine.names(""), mine.names("B")) == there
    assert set(mine.on_server()) >= {"New", "Newer"} and "B/C" not in mine.on_server()


@pytest.mark.parametrize("name,command,action", REFUSALS, ids=[r[0] for r in REFUSALS])
def test_a_mailbox_without_an_answer(mounts, dovecot, user, through, name, command, action):
    """A silent server holds nobody for long; it is done when it speaks again."""
    proxy = through(dovecot)
    mine = Account(dovecot, user, mounts, port=proxy.port, tls="none")
    assert mine.names("A") and mine.names("B/C") == []
    proxy.stall()
    action(mine.path)
    assert "changes to be sent: 1" in mine.status()
    proxy.resume()
    assert wait_for(lambda: "changes to be sent: 0" in mine.status())
    there = mine.on_server()
    assert ("B/C" not in there) if name == "rmdir" else "New" in there
