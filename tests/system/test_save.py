"""Saving mail into folders with the programs that people use: one message with the right bytes and
date is on the server afterwards, and what is no message is refused and leaves nothing."""
import errno
import mailbox
import os
import re
import shutil
import subprocess
import time
import zipfile
from email.utils import parsedate_to_datetime

import pytest

from lib import servers
from lib.client import UID
from lib.mount import wait_for

DATE = "Fri, 20 Nov 2026 10:00:00 +0000"  # of the Date field
INTERNAL = 1795168800                     # the same
MTIME = 1600000000                        # of the file, where a program keeps that


def raw(number, lines=3):
    return (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\n"
            b"Date: %s\r\nSubject: number %d\r\nMessage-ID: <n%d@example.org>\r\n\r\n"
            % (DATE.encode(), number, number)) + b"".join(
                b"line %d of %d\r\n" % (line, number) for line in range(lines))


def run(*command, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)


def ok(*command, **options):
    done = run(*command, **options)
    assert done.returncode == 0 and not done.stderr, (command, done.returncode, done.stderr)
    return done


class Desk:
    """A mounted account, and a folder of files on a disk."""

    def __init__(self, server, user, mounts, folder, options=(), **mounted):
        self.server, self.user, self.files = server, user, folder / "files"
        server.add_user(user)
        with server.client(user) as client:
            client.command(b'CREATE "A"')
            client.command(b'CREATE "B"')
            client.append(b"B", raw(90), b"\\Flagged", "01-Feb-2020 10:00:00 +0000")
            client.command(b'SELECT "B"')  # it is \\Recent no more
        self.files.mkdir()
        self.mount = mounts(None if mounted else server, user=user, options=options, **mounted)
        self.path, self.a, self.b = self.mount.path, self.mount.path / "A", self.mount.path / "B"

    def file(self, name="n.eml", number=1, content=None):
        path = self.files / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(raw(number) if content is None else content)
        os.utime(path, (MTIME, MTIME))
        return path

    def sync(self, folder=None):
        """Waits until the server has everything."""
        fd = os.open(folder or self.a, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def on_server(self, name=b"A"):
        """[(bytes, INTERNALDATE, flags)] of a mailbox."""
        with self.server.client(self.user) as client:
            client.command(b'EXAMINE "%s"' % name)
            found = []
            for answer in client.answers(client.send(
                    b"UID FETCH 1:* (UID INTERNALDATE FLAGS BODY.PEEK[])")):
                if not UID.search(b" ".join(answer)) or b" FETCH (" not in answer[0]:
                    continue
                line = b" ".join(answer[::2]).decode("latin-1")
                date = parsedate_to_datetime(
                    re.search(r'INTERNALDATE "([^"]*)"', line)[1].strip().replace("-", " "))
                flags = set(re.search(r"FLAGS \(([^)]*)\)", line)[1].lower().split())
                found.append((answer[1], int(date.timestamp()), flags - {"\\recent"}))
        return found

    def arrived(self, *expected, name=b"A"):
        """Fails unless the mailbox holds exactly these messages: (bytes, date), date None: now."""
        self.sync(self.path / name.decode())
        found = self.on_server(name)
        assert sorted(m[0] for m in found) == sorted(e[0] for e in expected)
        for content, date in expected:
            real = next(m[1] for m in found if m[0] == content)
            assert abs(real - (time.time() if date is None else date)) < (600 if date is None
                                                                         else 1), (real, date)

    def nothing(self, folder=None):
        """Fails if anything is in the folder, or on the server."""
        self.sync(folder)
        assert os.listdir(folder or self.a) == []
        assert self.on_server() == []

    def shown(self, folder=None):
        """The .eml files of a folder, once the server's list is seen."""
        return sorted(n for n in os.listdir(folder or self.a) if n.endswith(".eml"))


@pytest.fixture
def desk(dovecot, user, mounts, folder):
    def make(**options):
        return Desk(dovecot, user, mounts, folder, **options)
    return make


# -- programs that copy

COPIES = [
    ("cp", ["cp", "{file}", "{a}/"], INTERNAL),
    ("cp -p", ["cp", "-p", "{file}", "{a}/"], MTIME),
    ("cp -a", ["cp", "-a", "{file}", "{a}/"], MTIME),
    ("cp to a name", ["cp", "{file}", "{a}/other.eml"], INTERNAL),
    ("cp to a name without an ending", ["cp", "{file}", "{a}/draft"], INTERNAL),
    ("mv", ["mv", "{file}", "{a}/"], MTIME),
    ("install", ["install", "-m", "644", "{file}", "{a}/"], INTERNAL),
    ("install -p", ["install", "-p", "-m", "600", "{file}", "{a}/"], MTIME),
    ("dd", ["dd", "status=none", "if={file}", "of={a}/n.eml", "bs=37"], INTERNAL),
    ("dd fsync", ["dd", "status=none", "conv=fsync", "if={file}", "of={a}/n.eml"], INTERNAL),
    ("rsync -a", ["rsync", "-a", "{file}", "{a}/"], MTIME),
    ("rsync --inplace", ["rsync", "-a", "--inplace", "{file}", "{a}/"], INTERNAL),
    ("rsync --partial", ["rsync", "-a", "--partial", "{file}", "{a}/"], MTIME),
    ("cat", ["sh", "-c", "cat '{file}' >'{a}/n.eml'"], INTERNAL),
    ("tee", ["sh", "-c", "tee '{a}/n.eml' <'{file}' >/dev/null"], INTERNAL),
    ("two writers, one file",
     ["sh", "-c", "{{ head -n 3 '{file}'; tail -n +4 '{file}'; }} >'{a}/n.eml'"], INTERNAL),
    ("two writers, bash",
     ["bash", "-c", "{{ head -n 3 '{file}'; tail -n +4 '{file}'; }} >'{a}/n.eml'"], INTERNAL),
    ("a subshell", ["bash", "-c", "(head -n 3 '{file}'; tail -n +4 '{file}') >'{a}/n.eml'"],
     INTERNAL),
    ("in the background",
     ["bash", "-c", "exec 3>'{a}/n.eml'; cat '{file}' >&3 & exec 3>&-; wait"], INTERNAL),
    ("a descriptor of the shell's",
     ["bash", "-c", "exec 3>'{a}/n.eml'; head -n 3 '{file}' >&3; tail -n +4 '{file}' >&3; "
      "exec 3>&-"], INTERNAL),
    ("gio copy", ["gio", "copy", "{file}", "{a}/n.eml"], INTERNAL),
    ("gio save", ["sh", "-c", "gio save '{a}/n.eml' <'{file}'"], INTERNAL),
    ("python copy", ["/usr/bin/python3", "-c",
                     "import shutil; shutil.copy('{file}', '{a}/n.eml')"], INTERNAL),
    ("python copy2", ["/usr/bin/python3", "-c",
                      "import shutil; shutil.copy2('{file}', '{a}/n.eml')"], INTERNAL),
    ("python move", ["/usr/bin/python3", "-c",
                     "import shutil; shutil.move('{file}', '{a}/n.eml')"], INTERNAL),
    ("python tempfile", ["/usr/bin/python3", "-c", """
import os, tempfile
with tempfile.NamedTemporaryFile(dir='{a}', delete=False) as f:
    f.write(open('{file}', 'rb').read())
    f.flush()
    os.fsync(f.fileno())
os.replace(f.name, '{a}/n.eml')"""], INTERNAL),
    ("perl", ["perl", "-MFile::Copy", "-e", "copy('{file}', '{a}/n.eml') or die $!"], INTERNAL),
]


@pytest.mark.parametrize("command,date", [c[1:] for c in COPIES], ids=[c[0] for c in COPIES])
def test_copies(desk, command, date):
    mine = desk()
    file = mine.file()
    ok(*[word.format(file=file, a=mine.a) for word in command])
    # a rename does not wait for the server, and the shell's close of a child's file is the last
    if not ("&" in command[-1] or "os.replace" in command[-1] or
            (command[0] == "rsync" and "--inplace" not in command)):
        assert [m[0] for m in mine.on_server()] == [raw(1)], "close(2) did not wait"
    mine.arrived((raw(1), date))
    assert len(mine.shown()) == 1
    assert (mine.a / mine.shown()[0]).read_bytes() == raw(1)


def test_on_each_server(server, user, mounts, folder):
    mine = Desk(server, user, mounts, folder)
    ok("cp", "-p", mine.file(), mine.a)
    ok("cp", mine.file("lf", content=raw(2).replace(b"\r\n", b"\n")), mine.a)
    ok("cp", mine.b / mine.shown(mine.b)[0], mine.a)
    ok("sh", "-c", "{ head -n 4; cat; } <'%s' >'%s'" % (mine.file("n3", 3), mine.a / "3.eml"))
    assert run("cp", mine.file("x", content=b"no message\n"), mine.a).returncode == 1
    mine.arrived((raw(1), MTIME), (raw(2), INTERNAL), (raw(90), 1580551200), (raw(3), INTERNAL))


def test_line_ends(desk):
    mine = desk()
    file = mine.file(content=b"From alice Mon\n" + raw(1).replace(b"\r\n", b"\n").rstrip(b"\n"))
    ok("cp", file, mine.a)
    mine.arrived((raw(1), INTERNAL))


def test_no_date(desk):
    mine = desk()
    content = b"Subject: x\r\n\r\nx\r\n"
    ok("cp", mine.file(content=content), mine.a)
    mine.arrived((content, None))


def test_the_name_asked_for(desk):
    mine = desk()
    ok("cp", mine.file(), mine.a / "my name.eml")
    mine.arrived((raw(1), INTERNAL))
    assert (mine.a / "my name.eml").read_bytes() == raw(1)
    assert mine.shown()[0].endswith("].eml")
    ok("touch", mine.a / "my name.eml")  # saved in this session: ignored
    ok("chmod", "600", mine.a / "my name.eml")
    assert run("sh", "-c", "echo x >>'%s'" % (mine.a / "my name.eml")).returncode != 0
    mine.arrived((raw(1), INTERNAL))


def test_big(desk):
    mine = desk()
    content = raw(1, 300000)  # 5 MB
    ok("cp", mine.file(content=content), mine.a)
    mine.arrived((content, INTERNAL))
    assert (mine.a / mine.shown()[0]).read_bytes() == content


def test_many(desk):
    mine = desk()
    for number in range(60):
        mine.file("in/%d.eml" % number, number)
    ok("cp", "-p", *sorted((mine.files / "in").iterdir()), mine.a)
    mine.arrived(*((raw(number), MTIME) for number in range(60)))


def test_rsync_twice(desk):
    mine = desk()
    for number in range(5):
        mine.file("in/%d.eml" % number, number)
    ok("rsync", "-a", *sorted((mine.files / "in").iterdir()), mine.a)
    mine.arrived(*((raw(number), MTIME) for number in range(5)))
    done = ok("rsync", "-a", "--itemize-changes", *sorted((mine.files / "in").iterdir()), mine.a)
    assert [line for line in done.stdout.splitlines() if line.startswith((">f", "<f"))] == []
    mine.arrived(*((raw(number), MTIME) for number in range(5)))


def test_rsync_into_an_old_folder(desk):
    """Its times and mode are another's, and stay; no error comes of it."""
    mine = desk()
    mine.file("in/1.eml", 1)
    mine.mount.unmount()
    with mine.mount:
        before = os.stat(mine.a)
        os.utime(mine.files / "in", (1, 1))
        for _ in range(2):
            ok("rsync", "-a", str(mine.files / "in") + "/", str(mine.a) + "/")
            mine.arrived((raw(1), MTIME))
        assert os.stat(mine.a).st_mode == before.st_mode
        assert os.stat(mine.a).st_mtime >= before.st_mtime
        with pytest.raises(PermissionError):
            os.utime(mine.b / mine.shown(mine.b)[0], (1, 1))


# -- archives

@pytest.mark.parametrize("command", [
    "cp -a {tree} {a}/", "rsync -a {tree} {a}/", "tar cf - -C {files} tree | tar xf - -C {a}"],
    ids=["cp", "rsync", "tar"])
def test_trees(desk, command):
    """Times and modes of the folders that are made are no error."""
    mine = desk()
    mine.file("tree/1.eml", 1)
    (mine.files / "tree/sub").mkdir(mode=0o755)
    mine.file("tree/sub/2.eml", 2)
    ok("sh", "-c", command.format(tree=mine.files / "tree", a=mine.a, files=mine.files))
    mine.sync()
    for name, content in ((b"A/tree", raw(1)), (b"A/tree/sub", raw(2))):
        assert [m[0] for m in mine.on_server(name)] == [content]


def test_tar(desk):
    mine = desk()
    for number in range(3):
        mine.file("in/%d.eml" % number, number)
    ok("tar", "cf", mine.files / "t.tar", "-C", mine.files / "in", "0.eml", "1.eml", "2.eml")
    ok("tar", "xf", mine.files / "t.tar", "-C", mine.a)
    mine.arrived(*((raw(number), MTIME) for number in range(3)))


def test_unzip(desk):
    mine = desk()
    with zipfile.ZipFile(mine.files / "t.zip", "w") as archive:
        for number in range(3):
            archive.writestr("%d.eml" % number, raw(number))
    ok("unzip", "-q", mine.files / "t.zip", "-d", mine.a)
    mine.arrived(*((raw(number), INTERNAL) for number in range(3)))


def test_git_apply(desk):
    mine = desk()
    repository = mine.files / "r"
    ok("git", "init", "-q", repository)
    content = raw(1).replace(b"\r\n", b"\n")
    (repository / "n.eml").write_bytes(content)
    ok("git", "-C", repository, "add", "n.eml")
    patch = mine.files / "p"
    patch.write_text(ok("git", "-C", repository, "diff", "--cached").stdout)
    ok("git", "apply", patch, cwd=mine.a)
    mine.arrived((raw(1), INTERNAL))


# -- both faces of messages

def both_faces(mine, tool):
    """A tree with a message's file and directory, as a copy of a folder has them."""
    shutil.copytree(mine.b, mine.files / "both")
    assert len(list((mine.files / "both").iterdir())) == 2
    return [word.format(both=mine.files / "both", a=mine.a, files=mine.files) for word in tool]


@pytest.mark.parametrize("tool", [
    ["cp", "-r", "{both}/.", "{a}/"],
    ["rsync", "-r", "{both}/", "{a}/"],
    ["sh", "-c", "tar cf - -C '{both}' . | tar xf - -C '{a}'"],
], ids=["cp", "rsync", "tar"])
def test_both_faces(desk, tool):
    mine = desk()
    done = run(*both_faces(mine, tool))
    assert done.returncode not in (0, 127), done.stderr
    mine.sync()
    assert [m[0] for m in mine.on_server()] == [raw(90)]
    with mine.server.client(mine.user) as client:
        assert all(b"[" not in name for name in client.mailboxes())


def test_only_the_messages(desk):
    mine = desk()
    both_faces(mine, [])
    ok("rsync", "-r", "--include=*.eml", "--exclude=*", str(mine.files / "both") + "/", mine.a)
    mine.sync()
    assert [m[0] for m in mine.on_server()] == [raw(90)]


# -- inside the mount

def test_cp_inside(desk):
    """It is IMAP's COPY: flags and date come along."""
    mine = desk()
    source = mine.b / mine.shown(mine.b)[0]
    ok("cp", source, mine.a)
    mine.sync()
    content, date, flags = mine.on_server()[0]
    assert content == raw(90) and date == 1580551200 and "\\flagged" in flags
    assert len(mine.on_server()) == 1 and len(mine.on_server(b"B")) == 1
    assert (mine.a / mine.shown()[0]).read_bytes() == raw(90)


def test_cp_p_inside(desk):
    mine = desk()
    ok("cp", "-p", mine.b / mine.shown(mine.b)[0], mine.a / "copy.eml")
    mine.arrived((raw(90), 1580551200))


def test_cat_inside(desk):
    mine = desk()
    source = mine.b / mine.shown(mine.b)[0]
    more = mine.file(content=b"more\r\n")
    ok("sh", "-c", "cat '%s' '%s' >'%s'" % (source, more, mine.a / "c.eml"))
    mine.arrived((raw(90) + b"more\r\n", INTERNAL))
    assert "\\flagged" not in mine.on_server()[0][2]


def test_cat_twice(desk):
    mine = desk()
    source = mine.b / mine.shown(mine.b)[0]
    ok("sh", "-c", "cat '%s' '%s' >'%s'" % (source, source, mine.a / "c.eml"))
    mine.arrived((raw(90) + raw(90), INTERNAL))


def test_part_inside(desk):
    """A part is no message, unless it is one."""
    mine = desk()
    parts = mine.b / mine.shown(mine.b)[0][:-4]
    done = run("cp", parts / "body.txt", mine.a)
    assert done.returncode == 1 and "Invalid argument" in done.stderr
    mine.nothing()


# -- editors

def test_vim(desk):
    mine = desk()
    file = mine.file(content=raw(1).replace(b"\r\n", b"\n"))
    ok("vim", "-u", "NONE", "-N", "-es", "-c", "set backup writebackup", "-c", "0r %s" % file,
       "-c", "w %s" % (mine.a / "n.eml"), "-c", "qa!")
    mine.arrived((raw(1), INTERNAL))


def test_vim_edits_a_new_file_twice(desk):
    mine = desk()
    target = mine.a / "n.eml"
    ok("vim", "-u", "NONE", "-N", "-es", "-c", "set backupskip=", "-c", "0r %s" % mine.file(
        content=raw(1).replace(b"\r\n", b"\n")), "-c", "w", "-c", "$s/$/ more/",
       "-c", "w", "-c", "qa!", target)
    mine.sync()
    found = mine.on_server()
    assert [m[0] for m in found] == [raw(1)[:-2] + b" more\r\n"]
    assert all(not n.endswith(("~", ".swp")) for n in os.listdir(mine.a))


def test_sed(desk):
    mine = desk()
    ok("cp", mine.file(), mine.a / "n.eml")
    mine.arrived((raw(1), INTERNAL))
    ok("sed", "-i", "s/line 0/line X/", mine.a / "n.eml")
    mine.arrived((raw(1).replace(b"line 0", b"line X"), INTERNAL))
    assert b"line X" in (mine.a / "n.eml").read_bytes()
    trash = mine.on_server(b"Trash")
    assert [m[0] for m in trash] == [raw(1)]


def test_gio_over(desk):
    """GLib opens what is there for writing first, and a message cannot be."""
    mine = desk()
    ok("cp", mine.file(), mine.a / "n.eml")
    mine.arrived((raw(1), INTERNAL))
    done = run("sh", "-c", "gio save '%s' <'%s'" % (mine.a / "n.eml", mine.file("second", 2)))
    assert done.returncode != 0 and "Permission denied" in done.stderr
    mine.arrived((raw(1), INTERNAL))


def test_nano(desk):
    pty = pytest.importorskip("pty")
    mine = desk()
    target = mine.a / "n.eml"
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", HOME=str(mine.files), LANG="C.UTF-8")
        os.execvp("nano", ["nano", "-I", str(target)])
    for words in (b"From: a@b\rDate: " + DATE.encode() + b"\r\rhello", b"\x0f", b"\r", b"\x18"):
        time.sleep(0.5)
        os.write(terminal, words)
    gone = []

    def ended():
        try:
            while os.read(terminal, 4096):
                pass
        except OSError:
            pass
        if not gone:
            gone.append(os.waitpid(pid, 0))
        return True
    wait_for(ended)
    os.close(terminal)
    assert gone[0][1] == 0
    mine.arrived((b"From: a@b\r\nDate: " + DATE.encode() + b"\r\n\r\nhello\r\n", INTERNAL))
    assert len(os.listdir(mine.a)) == 2


def test_maildir(desk):
    mine = desk()
    for name in ("tmp", "new", "cur"):
        os.mkdir(mine.a / name)
    box = mailbox.Maildir(mine.a, create=False)
    box.add(raw(1))
    mine.sync()
    assert [m[0].replace(b"\r\n", b"\n") for m in mine.on_server(b"A/new")] == [
        raw(1).replace(b"\r\n", b"\n")]
    assert mine.on_server(b"A/tmp") == []


def test_link(desk):
    mine = desk()
    (mine.a / ".delivery").write_bytes(raw(1))
    os.link(mine.a / ".delivery", mine.a / "n.eml")
    os.unlink(mine.a / ".delivery")
    mine.arrived((raw(1), INTERNAL))
    assert (mine.a / "n.eml").read_bytes() == raw(1)
    with pytest.raises(PermissionError):
        os.link(mine.a / "n.eml", mine.a / "m.eml")


# -- what is no message

NO_MESSAGE = [
    ("report.pdf", b"%PDF-1.4\nFrom: x\n"),
    ("n.eml", b"Dear all,\n\nFrom: me\n"),
    ("script.sh", b"#!/bin/sh\nexit\n"),
    ("nul.eml", b"From: a\r\n\r\nx\0y\r\n"),
    ("blank.eml", b"\r\n"),
]


@pytest.mark.parametrize("name,content", NO_MESSAGE, ids=[n for n, _ in NO_MESSAGE])
@pytest.mark.parametrize("tool", ["cp", "mv", "rsync"])
def test_no_message(desk, name, content, tool):
    mine = desk()
    file = mine.file(name, content=content)
    done = run(tool, *(["-a"] if tool == "rsync" else []), file, mine.a)
    assert done.returncode != 0 and "Invalid argument" in done.stderr
    assert file.read_bytes() == content
    mine.nothing()


def refused(mine, file, words):
    """cp fails with these words; nothing is in the folder, on the server, or kept."""
    done = run("cp", file, mine.a)
    assert done.returncode == 1 and words in done.stderr, done.stderr
    assert mine.shown() == []
    mine.nothing()
    assert os.listdir(mine.path / ".mailmount/failed") == []


@pytest.fixture
def strict():
    """A server with a quota, on which no message may have more than 20 KiB."""
    with servers.Dovecot(quota=True, max_mail_size="20k") as server:
        yield server


def test_too_big(strict, mounts, folder, user):
    mine = Desk(strict, user, mounts, folder)
    refused(mine, mine.file(content=raw(1, 3000)), "File too large")
    ok("cp", mine.file(), mine.a)
    mine.arrived((raw(1), INTERNAL))


def test_over_quota(strict, mounts, folder, user):
    strict.set_quota(user, 10)
    mine = Desk(strict, user, mounts, folder)
    refused(mine, mine.file(content=raw(1, 900)), "Disk quota exceeded")
    ok("cp", mine.file(), mine.a)
    mine.arrived((raw(1), INTERNAL))


def test_offline(through, dovecot, mounts, folder, user):
    """What cannot be sent is kept, shown, and sent later: also by the next mount."""
    proxy = through(dovecot)
    mine = Desk(dovecot, user, mounts, folder, port=proxy.port, tls="none")
    mine.shown()
    proxy.go_away()
    ok("cp", mine.file(content=raw(1).replace(b"\r\n", b"\n")), mine.a)
    assert (mine.a / "n.eml").read_bytes() == raw(1)
    assert mine.shown() == ["n.eml"]
    mine.mount.unmount()
    mine.mount.__enter__()
    assert (mine.a / "n.eml").read_bytes() == raw(1)
    assert mine.on_server() == []
    ok("cp", mine.file("m.eml", 2), mine.a)
    ok("rm", mine.a / "m.eml")
    ok("cp", mine.file("l.eml", 3), mine.a)
    ok("mv", mine.a / "l.eml", mine.b / "l.eml")
    proxy.come_back()
    assert wait_for(mine.on_server)
    mine.arrived((raw(1), INTERNAL))
    mine.sync(mine.b)
    assert [m[0] for m in mine.on_server(b"B")] == [raw(90), raw(3)]
    assert (mine.a / "n.eml").read_bytes() == raw(1)


@pytest.mark.parametrize("then, a, b", [
    ("true", [], ["X"]), ("mv '{}' {a}/", ["X"], []), ("rm '{}'", [], []),
    ("sed -i 's/line X/line Y/' '{}'", [], ["Y"])])
def test_offline_overwritten(then, a, b, through, dovecot, mounts, folder, user):
    """What is overwritten goes to the trash, whatever becomes of the new one before it is sent."""
    proxy = through(dovecot)
    mine = Desk(dovecot, user, mounts, folder, port=proxy.port, tls="none")
    name = mine.b / mine.shown(mine.b)[0]
    name.read_bytes()
    mine.shown()
    proxy.go_away()
    ok("sed", "-i", "s/line 0/line X/", name)
    ok("sh", "-c", then.format(name, a=mine.a))
    proxy.come_back()
    assert wait_for(lambda: mine.on_server(b"Trash"))
    mine.sync(mine.b)
    for mailbox, new in ((b"A", a), (b"B", b)):
        assert [m[0] for m in mine.on_server(mailbox)] == [
            raw(90).replace(b"line 0", b"line " + letter.encode()) for letter in new]
    assert raw(90) in [m[0] for m in mine.on_server(b"Trash")]


def test_touch(desk):
    """An empty file is nobody's message; it stays here until it is one, or is removed."""
    mine = desk()
    ok("touch", mine.a / "n.eml")
    ok("touch", mine.a / "m.eml")
    assert sorted(os.listdir(mine.a)) == ["m.eml", "n.eml"]
    assert mine.on_server() == []
    ok("rm", mine.a / "m.eml")
    (mine.a / "n.eml").write_bytes(raw(1))
    mine.arrived((raw(1), INTERNAL))


def test_scratch_names_stay_here(desk):
    mine = desk()
    for name in (".n.eml.swp", "n.eml~", ".directory", "desktop.ini", "x.part", "4913"):
        (mine.a / name).write_bytes(raw(1))
        assert (mine.a / name).read_bytes() == raw(1)
    mine.sync()
    assert mine.on_server() == []
    assert "n.eml~" in os.listdir(mine.a)
    os.rename(mine.a / "x.part", mine.a / "x.eml")
    mine.arrived((raw(1), INTERNAL))
    os.rename(mine.a / "n.eml~", mine.a / "n.eml.bak")
    ok("rm", mine.a / "n.eml.bak", mine.a / "4913", mine.a / ".directory")
    mine.arrived((raw(1), INTERNAL))


def test_writing_in_place_is_refused(desk):
    mine = desk()
    message = mine.b / mine.shown(mine.b)[0]
    part = message.with_suffix("") / "body.txt"
    for path, error in ((message, errno.EACCES), (part, errno.EPERM)):
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC):
            with pytest.raises(OSError) as refused:
                os.close(os.open(path, flags))
            assert refused.value.errno == error
        with pytest.raises(OSError) as refused:
            os.truncate(path, 3)
        assert refused.value.errno == error
        with pytest.raises(PermissionError):
            os.utime(path, (MTIME, MTIME))
        with pytest.raises(PermissionError):
            os.chmod(path, 0o755)
        os.chmod(path, 0o600)
        os.chown(path, os.getuid(), os.getgid())
    with pytest.raises(OSError):
        (message.with_suffix("") / "new.txt").write_bytes(b"x")
    with pytest.raises(OSError):
        (mine.path / "n.eml").write_bytes(raw(1))
    assert [m[0] for m in mine.on_server(b"B")] == [raw(90)]


# -- open files

def test_open_files_keep_their_bytes(desk):
    mine = desk()
    with open(mine.a / "n.eml", "w+b", buffering=0) as file:
        file.write(raw(1))
        os.unlink(mine.a / "n.eml")
        assert os.pread(file.fileno(), 10000, 0) == raw(1)
    mine.nothing()
    (mine.a / ".x").write_bytes(raw(1))
    with open(mine.a / ".x", "rb") as file:
        os.rename(mine.a / ".x", mine.a / "x.eml")
        mine.sync()
        assert file.read() == raw(1)
    mine.arrived((raw(1), INTERNAL))


def test_written_again_while_open(desk):
    """Closed once by a copy of the descriptor, then written on: in the end one message."""
    mine = desk()
    fd = os.open(mine.a / "n.eml", os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(fd, raw(1))
    os.close(os.dup(fd))
    assert [m[0] for m in mine.on_server()] == [raw(1)]
    os.write(fd, b"more\r\n")
    os.close(fd)
    mine.arrived((raw(1) + b"more\r\n", INTERNAL))


def test_fsync_sends_nothing(desk):
    mine = desk()
    fd = os.open(mine.a / "n.eml", os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(fd, b"From: a@b\r\n")
    os.fsync(fd)
    assert mine.on_server() == []
    os.write(fd, b"\r\nx\r\n")
    os.close(fd)
    mine.arrived((b"From: a@b\r\n\r\nx\r\n", None))


def test_mapped(desk):
    """A file that is written through a map."""
    mine = desk()
    program = """
import mmap, sys
content = open(sys.argv[1], 'rb').read()
with open(sys.argv[2], 'w+b') as f:
    f.truncate(len(content))
    with mmap.mmap(f.fileno(), len(content)) as m:
        m[:] = content
        m.flush()
"""
    ok("/usr/bin/python3", "-c", program, mine.file(), mine.a / "n.eml")
    mine.arrived((raw(1), INTERNAL))


def test_disk_full(desk, folder):
    """Where the state folder has no room, write(2) says so, and nothing is sent."""
    if os.getuid():
        pytest.skip("only root can mount a small disk")
    small = folder / "small"
    small.mkdir()
    ok("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small)
    try:
        mine = desk(options=["state_dir=%s" % small])
        done = run("cp", mine.file(content=raw(1, 400000)), mine.a)
        assert done.returncode == 1 and "No space left" in done.stderr
        ok("rm", "-f", *mine.a.glob("n.eml"))
        mine.nothing()
        ok("cp", mine.file(), mine.a)
        mine.arrived((raw(1), INTERNAL))
        mine.mount.unmount()
    finally:
        ok("umount", small)
