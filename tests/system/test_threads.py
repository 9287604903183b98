"""8 readers on one mount while mail comes and goes. For a program built with ThreadSanitizer: what
that found is in the mount's reports, which must be empty. Run by .ci/run."""
import collections
import hashlib
import mmap
import os
import random
import re
import signal
import subprocess
import tarfile
import threading
import time

from lib import mail
from lib.mount import wait_for

SECONDS = 25  # the readers' work, not a limit
UID = re.compile(r" \[(\d+)\]\.eml$")


def bulk_messages():
    """More than the content cache holds, so that it is always short of room."""
    for number in range(8):
        yield mail.Message("Bulk", mail.multipart(
            "mixed", mail.text("Bulk %d, with a needle.\n" % number),
            mail.attachment("bulk.bin", mail.noise(3_000_000, number)),
            mail.attachment("lines.csv", b"a;b\r\n" * 9000, "text/csv", "quoted-printable")),
            subject="Bulk %d" % number, day=number + 1)


class Crowd:
    """Threads that work until time is up. What one finds wrong ends with it."""

    def __init__(self, mount, messages):
        self.mount, self.end, self.problems = mount, time.monotonic() + SECONDS, []
        self.rounds = collections.Counter()
        self.eml, self.parts = {}, {}
        count = collections.Counter()
        for message in messages:
            count[message.mailbox] += 1
            eml = self.find(message.mailbox, count[message.mailbox])
            self.eml[eml] = message.raw
            for file, content in message.files.items():
                self.parts[eml.with_suffix("") / file] = content

    def find(self, mailbox, uid):
        folder = self.mount.path / mailbox
        return next(folder / name for name in os.listdir(folder)
                    if name.endswith(" [%d].eml" % uid))

    def start(self, work):
        def run():
            try:
                while time.monotonic() < self.end:
                    work(self, random.Random(self.rounds[work.__name__]))
                    self.rounds[work.__name__] += 1
            except Exception as problem:
                self.problems.append("%s: %s: %s" % (work.__name__, type(problem).__name__, problem))
        thread = threading.Thread(target=run)
        thread.start()
        return thread


def some(chance, files):
    return chance.sample(sorted(files.items()), 12)


def read_eml(crowd, chance):
    for path, content in some(chance, crowd.eml):
        done = subprocess.run(["cat", path], capture_output=True, check=True)
        assert done.stdout == content, path


def read_mapped(crowd, chance):
    for path, content in some(chance, crowd.parts):
        with open(path, "rb") as file:
            if content:
                with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
                    assert bytes(mapped) == content, path


def read_sums(crowd, chance):
    files = some(chance, crowd.parts)
    done = subprocess.run(["md5sum", "-z", "--", *(path for path, _ in files)],
                          capture_output=True, check=True)
    wanted = b"".join(b"%s  %s\0" % (hashlib.md5(content).hexdigest().encode(), os.fsencode(path))
                      for path, content in files)
    assert done.stdout == wanted


def read_archive(crowd, chance):
    """A folder that nobody changes, as tar sees it."""
    folder = crowd.mount.path / "Projekte"
    process = subprocess.Popen(["tar", "cf", "-", "-C", folder.parent, folder.name],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
        for member in tar:
            wanted = crowd.eml.get(crowd.mount.path / member.name)
            if wanted is not None:
                assert tar.extractfile(member).read() == wanted, member.name
    complaints = process.stderr.read()
    process.stderr.close()
    process.stdout.close()
    assert process.wait() == 0, complaints


def read_pieces(crowd, chance):
    """Opened, read here and there, and closed, again and again."""
    for path, content in some(chance, {**crowd.eml, **crowd.parts}):
        with open(path, "rb", buffering=0) as file:
            for _ in range(4):
                start = chance.randrange(len(content) + 1)
                length = chance.choice((1, 4096, 70_000, 300_000))
                got = os.pread(file.fileno(), length, start)
                assert got == content[start:start + length], (path, start, length)


def search(crowd, chance):
    """grep -r; messages may go away before it."""
    done = subprocess.run(["grep", "-r", "-l", "-a", "needle", crowd.mount.path],
                          capture_output=True)
    found = set(done.stdout.splitlines())
    missed = [path for path, content in crowd.parts.items()
              if b"needle" in content and os.fsencode(path) not in found]
    assert not missed, (missed, done.stderr)


def list_all(crowd, chance):
    done = subprocess.run(["ls", "-lR", crowd.mount.path], capture_output=True, text=True)
    assert all(path.name in done.stdout for path in crowd.eml), done.stderr


def interrupt(crowd, chance):
    """Readers that are killed in the middle, and ones that only hear of a resized window."""
    commands = (["cat", *crowd.eml], ["grep", "-rc", "x", crowd.mount.path],
                ["md5sum", *crowd.parts], ["find", crowd.mount.path, "-size", "+1k"])
    process = subprocess.Popen(chance.choice(commands), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    time.sleep(chance.random() * 0.3)
    process.send_signal(signal.SIGWINCH)
    time.sleep(chance.random() * 0.3)
    process.send_signal(chance.choice((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)))
    process.wait()


READERS = [read_eml, read_mapped, read_sums, read_archive, read_pieces, search, list_all, interrupt]


def disturb(client):
    """Delivers, flags and expunges, beside what the readers compare."""
    def work(crowd, chance):
        for mailbox in (b"INBOX", b"Bulk"):
            for number in range(4):
                message = mail.Message("", mail.text("Here today, %d.\n" % number),
                                       subject="Passing")
                client.append(mailbox, message.raw)
            client.command(b'SELECT "%s"' % mailbox)
            found = client.command(b'UID SEARCH SUBJECT "Passing"')
            uids = [u for r in found if r[0].startswith(b"* SEARCH") for u in r[0].split()[2:]]
            client.command(b"UID STORE %s +FLAGS.SILENT (\\Flagged)" % b",".join(uids))
            time.sleep(0.3)
            client.command(b"UID STORE %s +FLAGS.SILENT (\\Deleted)"
                           % b",".join(uids[:-chance.randrange(3) or None]))
            client.command(b"EXPUNGE")
    return work


def compare(mount, client, mailbox):
    """Every message that the server has, as the server gives it, once the mount knows them."""
    bodies = dict(client.bodies(mailbox))
    folder = mount.path / os.fsdecode(mailbox)

    def shown():
        return {int(found[1]): folder / name
                for name in os.listdir(folder) if (found := UID.search(name))}
    wait_for(lambda: shown().keys() == bodies.keys(), pause=0.5)
    assert shown().keys() == bodies.keys()
    for uid, path in shown().items():
        assert path.read_bytes() == bodies[uid], path


def test_readers_and_changes(dovecot, user, mounts, messages):
    every = [*messages, *bulk_messages()]
    with dovecot.client(user) as client:
        mail.deliver(client, every)
        for mailbox in client.mailboxes():
            client.command(b'SELECT "%s"' % mailbox)  # nothing is \\Recent to the mount any more
    mount = mounts(dovecot, user=user, options=["cache_size=16M", "timeout=300"])
    crowd = Crowd(mount, every)
    with dovecot.client(user) as client:
        threads = [crowd.start(work) for work in [*READERS, disturb(client)]]
        for thread in threads:
            thread.join()
        assert not crowd.problems, "\n".join(crowd.problems)
        for work in [*READERS, disturb]:
            assert crowd.rounds[work.__name__ if work is not disturb else "work"] > 0, work
        for mailbox in (b"INBOX", b"Bulk"):
            compare(mount, client, mailbox)
    mount.unmount()


def test_ended_while_it_is_read(dovecot, user, mounts, messages):
    """SIGTERM while readers wait: they get an error or the bytes, and it ends in order."""
    every = [*messages, *bulk_messages()]
    with dovecot.client(user) as client:
        mail.deliver(client, every)
    for turn in range(3):
        mount = mounts(dovecot, user=user, options=["cache_size=16M", "timeout=300"])
        readers = [subprocess.Popen(["grep", "-rc", "x", mount.path], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL) for _ in range(8)]
        time.sleep(0.5 * turn)
        os.kill(mount.worker(), signal.SIGTERM)
        for reader in readers:
            reader.wait()
        mount.unmount()


def test_ended_while_it_starts(dovecot, user, mounts, messages):
    """SIGTERM at any moment of the start."""
    for turn in range(12):
        mount = mounts(dovecot, user=user, start=False, arguments=["-f"])
        with open(mount.log, "a") as log:
            mount.process = subprocess.Popen(mount.command, env=mount.environment, stdout=log,
                                             stdin=subprocess.DEVNULL, stderr=log)
        time.sleep(0.05 * turn)
        mount.process.terminate()
        mount.process.wait()
        mount.unmount()
