"""Everybody at work at once: other clients, local readers and writers, and a bad network.

    soak = Soak(server, user, folder, seconds=60, seed=7)
    soak.run()                  # raises AssertionError with all that went wrong
    print(soak.summary())

Each message has a number, by which its bytes are known, and which says who may move and remove it:

    0, 1   the first, the second of the other clients
    2      a local worker
    3      all of them: it may then be there twice, if two have moved it at once

All flag all of them, but \\Flagged is set and cleared only by who may move it.
"""
import collections
import contextlib
import errno
import hashlib
import imaplib
import os
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from . import mail
from .mount import SLOW, Mount, say_where_they_hang, wait_for
from .others import Other, Refusal
from .rough import Rough

FIXED = ("INBOX", "Trash", "Archive", "Work", "Work/Deep")
CLIENTS, WORKERS = 2, 4
NAME = re.compile(r" number (\d+) \[(\d+)\](\.eml)?$")
SUBJECT = re.compile(rb"(?m)^Subject: number (\d+)\r$")
FLAG_NAMES = {"flagged": "\\flagged", "answered": "\\answered", "deleted": "\\deleted",
              "draft": "\\draft"}
MOST = 60          # messages that each client, and each worker, keeps about
THREADS = 20       # that the worker may have: ten for requests come and go
HUNG = SLOW        # seconds after which an operation hangs: no deadline is as long
# What a local operation may end with: the network's fault, or another's change. EIO: the connection
# was lost again and again amid it.
ALLOWED = {errno.ETIMEDOUT, errno.ENETUNREACH, errno.EIO, errno.ENOENT, errno.ESTALE}
WORDS = {os.strerror(e) for e in ALLOWED}


def letter(number):
    """The message of this number; one in sixteen is big."""
    chance = random.Random(number)
    size = 2_500_000 if number % 64 == 60 else chance.choice((10, 3000, 40_000, 150_000))
    return mail.Message("INBOX", mail.multipart(
        "mixed", mail.text("This is number %d.\n" % number + "A line.\n" * (number % 50)),
        mail.attachment("noise.bin", mail.noise(size, number))),
        subject="number %d" % number, fields=["Message-ID: <%d@soak.example.org>" % number])


_hashes = {}


def digest(number):
    if number not in _hashes:
        _hashes[number] = hashlib.sha256(letter(number).raw).hexdigest()
    return _hashes[number]


class Ledger:
    """What there should be. Told before something is removed, and after something is put in."""

    def __init__(self):
        self.lock = threading.Lock()
        self.last = collections.Counter()  # numbers given out, by kind
        self.there = set()                 # must be there
        self.unsure = set()                # may be there
        self.place = {}                    # of what local workers moved: folder
        self.flagged = {}                  # whether, of what has one owner; None: unsure
        self.history = collections.defaultdict(list)  # of a number: what was done to it

    def new(self, kind):
        with self.lock:
            self.last[kind] += 1
            return 4 * self.last[kind] + kind

    def put(self, number):
        with self.lock:
            self.there.add(number)

    def may_go(self, number):
        with self.lock:
            self.there.discard(number)
            self.unsure.add(number)


class Actor(threading.Thread):
    """Does something by chance, again and again."""

    def __init__(self, soak, name):
        super().__init__(daemon=True, name=name)
        self.soak, self.ledger = soak, soak.ledger
        self.chance = random.Random("%s %s" % (soak.seed, name))
        self.counts = collections.Counter()
        self.errors = collections.Counter()
        self.doing, self.since, self.longest = None, 0.0, (0.0, "")

    def run(self):
        try:
            while not self.soak.over.is_set():
                self.act(self.chance.choice(self.ACTIONS))
                self.soak.over.wait(self.chance.random() * self.PAUSE)
        except Exception as problem:  # a mistake of the test's, or what no server should do
            self.soak.problem("%s, at %s: %r" % (self.name, self.doing, problem))

    def say(self, number, what):
        """Remembers what was done to it."""
        self.ledger.history[number].append("%.2f s, %s: %s" % (
            time.monotonic() - self.soak.started, self.name, what))

    def act(self, name):
        self.doing, self.since = name, time.monotonic()
        try:
            getattr(self, name)()
            self.counts[name] += 1
        finally:
            took = time.monotonic() - self.since
            self.longest = max(self.longest, (took, name))
            self.doing = None


class Stranger(Actor):
    """Another client."""

    ACTIONS = ("deliver", "deliver", "flag", "flag", "flag", "move", "move", "move_any", "mark",
               "expunge", "folders")
    PAUSE = 0.4

    def __init__(self, soak, kind):
        super().__init__(soak, "client %d" % kind)
        self.kind = kind
        self.other = Other(soak.server, soak.user)
        self.made = []
        self.names = 0

    def act(self, name):
        try:
            super().act(name)
        except Refusal as problem:
            self.errors["NO"] += 1
            self.soak.note("%s: %s: %s" % (self.name, name, problem))
        except (imaplib.IMAP4.abort, OSError):  # shown the door: a mailbox has gone
            self.errors["closed"] += 1
            self.other.disconnect()
            self.other.connect()

    def some(self, want, most=4):
        """(folder, {UID: number}) of some messages of a folder that are wanted."""
        folder = self.chance.choice([*FIXED, *self.made])
        found = numbers_in(self.other, folder)
        uids = sorted(u for u, n in found.items() if want(n))
        self.chance.shuffle(uids)
        return folder, {u: found[u] for u in uids[:self.chance.randint(1, most)]}

    def own(self, number):
        return number % 4 == self.kind

    def deliver(self):
        kind = self.chance.choice((self.kind, self.kind, 3))
        if sum(n % 4 == kind for n in self.ledger.there) > MOST:
            return self.expunge()
        number = self.ledger.new(kind)
        folder = self.chance.choice([*FIXED, *(self.made if kind != 3 else [])])
        self.other.deliver(folder, letter(number).raw, ["\\Seen"] * (number % 3 == 0))
        self.ledger.put(number)

    def flag(self):
        folder, found = self.some(lambda n: True)
        if not found:
            return
        flag = self.chance.choice(("\\Seen", "\\Answered", "$Soak", "\\Flagged"))
        if flag == "\\Flagged":
            found = {u: n for u, n in found.items() if self.own(n)}
        how = self.chance.choice("+-")
        if found:
            self.other.mark(folder, list(found), [flag], how)
        for number in found.values():
            self.say(number, "%s%s in %s" % (how, flag, folder))

    def move(self):
        folder, found = self.some(self.own)
        target = self.chance.choice([*FIXED, *self.made])
        self.move_them(folder, found, target)

    def move_them(self, folder, found, target):
        if found and target != folder:
            self.other.move(folder, list(found), target)
            for number in found.values():
                self.say(number, "moved from %s to %s" % (folder, target))

    def move_any(self):
        folder, found = self.some(lambda n: n % 4 == 3)
        target = self.chance.choice(FIXED)
        if folder in FIXED:
            self.move_them(folder, found, target)

    def mark(self):
        """As deleted, and leaves it there."""
        folder, found = self.some(lambda n: self.own(n) or n % 4 == 3, 2)
        if found:
            self.other.mark_deleted(folder, list(found))
        for number in found.values():
            self.say(number, "marked in %s" % folder)

    def expunge(self):
        folder, found = self.some(lambda n: self.own(n) or n % 4 == 3, 2)
        for number in found.values():
            self.ledger.may_go(number)
            self.say(number, "expunges it in %s" % folder)
        if found:
            self.other.expunge(folder, list(found))

    def folders(self):
        """A new one, another name, or an end for one of this client's."""
        if not self.made or (len(self.made) < 3 and self.chance.random() < 0.4):
            return self.make_folder(self.other.create)
        old = self.chance.choice(self.made)
        self.other.select("INBOX")  # who stays in a mailbox that goes is shown the door
        if self.chance.random() < 0.5:
            self.made.remove(old)
            return self.make_folder(lambda new: self.other.rename(old, new), old)
        for number in numbers_in(self.other, old).values():
            self.ledger.may_go(number)
        self.other.select("INBOX")
        self.made.remove(old)
        self.other.delete(old)

    def make_folder(self, how, old=None):
        self.names += 1
        new = "Folder %d of client %d" % (self.names, self.kind)
        how(new)
        self.made.append(new)


def numbers_in(other, folder):
    """{UID: number} of a folder of the server's."""
    other.select(folder, True)
    found = {}
    for piece in other.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])"):
        if isinstance(piece, tuple):
            uid, number = re.search(rb"UID (\d+)", piece[0]), SUBJECT.search(piece[1])
            found[int(uid[1])] = int(number[1])
    return found


class Worker(Actor):
    """Reads and writes through the mount."""

    ACTIONS = ("list", "list", "stat", "read", "read", "read", "read_part", "read_part", "grep",
               "save", "save", "move", "move", "move_any", "remove", "flag", "flag", "folders",
               "look_around")
    PAUSE = 0.1

    def __init__(self, soak, index):
        super().__init__(soak, "worker %d" % index)
        self.index = index
        self.root = soak.mount.path
        self.home = None  # a folder of its own, while there is one
        self.names = 0

    def act(self, name):
        try:
            super().act(name)
        except OSError as problem:
            self.errors[errno.errorcode.get(problem.errno, str(problem.errno))] += 1
            if problem.errno not in ALLOWED or self.is_strange(name, problem):
                self.soak.problem("%s, %s: %s" % (self.name, name, problem))

    def is_strange(self, name, problem):
        """Whether it says that something is gone which nobody else takes away: a folder that stays,
        or this worker's own; what is saved is new."""
        if problem.errno not in (errno.ENOENT, errno.ESTALE):
            return False
        if name == "save" or not problem.filename:  # without: a file that was open, and was moved
            return name == "save"
        path = Path(problem.filename)
        others = path.parent == self.root and path.name.startswith("Folder")
        return (path.parent == self.root and not others) or (
            path in (self.root, *(self.root / f for f in FIXED)))

    def own(self, number):
        return number % 4 == 2 and number // 4 % WORKERS == self.index

    def directories(self):
        found = [*FIXED]
        found += [n for n in os.listdir(self.root) if n.startswith("Folder")]
        return found

    def some(self, want=lambda n: True, directories=None):
        """(number, path of its .eml), by chance; (None, None) if there is none."""
        folder = self.root / self.chance.choice(directories or self.directories())
        found = sorted((int(m[1]), m.string) for m in map(NAME.search, os.listdir(folder))
                       if m and m[3] and want(int(m[1])))
        if not found:
            return None, None
        number, name = self.chance.choice(found)
        return number, folder / name

    def list(self):
        os.listdir(self.root / self.chance.choice(self.directories()))

    def stat(self):
        number, path = self.some()
        if number is not None and os.stat(path).st_size != len(letter(number).raw):
            self.wrong(path, "has size %d" % os.stat(path).st_size)

    def wrong(self, path, what):
        self.soak.problem("%s: %s %s" % (self.name, path, what))

    def read(self):
        number, path = self.some()
        if number is not None:
            got = path.read_bytes()
            if hashlib.sha256(got).hexdigest() != digest(number):
                self.wrong(path, "holds %d bytes, and not its own" % len(got))

    def read_part(self):
        number, path = self.some()
        if number is None:
            return
        name = self.chance.choice(("body.txt", "noise.bin"))
        got = (path.with_suffix("") / name).read_bytes()
        if got != letter(number).files[name]:
            self.wrong(path, "has a wrong %s of %d bytes" % (name, len(got)))

    def look_around(self):
        number, path = self.some()
        if number is None:
            return
        found = set(os.listdir(path.with_suffix("")))
        # empty: it was moved away meanwhile
        if found and found != {"headers.txt", "body.txt", "noise.bin"}:
            self.wrong(path, "shows %s" % found)

    def grep(self):
        """Every message that it can read holds its word."""
        folder = self.root / self.chance.choice(FIXED)
        done = subprocess.run(["grep", "-rL", "--include=*.eml", "soak.example.org", folder],
                              capture_output=True, text=True, env={"LC_ALL": "C"})
        failed = {line.removeprefix("grep: ").rpartition(": ")[0]
                  for line in done.stderr.splitlines()}
        for line in done.stdout.splitlines():
            # it lists what it could not read to the end as well, and what is being saved has no
            # name of a message's yet
            if line not in failed and NAME.search(line):
                self.wrong(line, "does not hold the word")
        for line in done.stderr.splitlines():
            word = line.rpartition(": ")[2]
            self.errors["grep: " + word] += 1
            if word not in WORDS:
                self.soak.problem("%s: %s" % (self.name, line))

    # -- writes

    def new_number(self):
        while not self.own(number := self.ledger.new(2)):
            pass
        return number

    def save(self):
        mine = [n for n, place in list(self.ledger.place.items()) if self.own(n) and place]
        if len(mine) > MOST:
            return self.act("remove")
        number = self.new_number()
        folder = self.chance.choice([*FIXED, *([self.home] if self.home else [])])
        self.ledger.unsure.add(number)
        try:
            with open(self.root / folder / ("%d.eml" % number), "wb") as file:
                file.write(letter(number).raw)
        except OSError as problem:
            self.soak.note("%s: save %d: %s" % (self.name, number, problem))
            raise
        self.ledger.put(number)
        self.say(number, "saved in %s" % folder)
        self.ledger.place[number] = folder
        self.ledger.flagged[number] = False

    def move(self):
        homes = [self.home] if self.home else []
        source = self.chance.choice([*FIXED, *homes])
        target = self.chance.choice([*FIXED, *homes])
        number, path = self.some(self.own, [source])
        if number is None or source == target:
            return
        self.step(number, target, lambda: os.rename(path, self.root / target / path.name))

    def step(self, number, target, action):
        """An action that changes where a message is, unless it fails."""
        old, self.ledger.place[number] = self.ledger.place.get(number), None
        try:
            action()
            self.ledger.place[number] = target
            self.say(number, "moved to %s" % target)
        except FileNotFoundError:
            self.ledger.place[number] = old  # another number by now
            raise

    def move_any(self):
        number, path = self.some(lambda n: n % 4 == 3, FIXED)
        if number is not None:
            target = self.chance.choice(FIXED)
            os.rename(path, self.root / target / path.name)
            self.say(number, "moved from %s to %s" % (path, target))

    def remove(self):
        number, path = self.some(lambda n: self.own(n) or n % 4 == 3, FIXED)
        if number is None:
            return
        if path.parent.name == "Trash":
            self.ledger.may_go(number)
        self.say(number, "removes %s" % path)
        if self.own(number):
            self.step(number, "Trash", path.unlink)
        else:
            path.unlink()

    def flag(self):
        number, path = self.some(self.own, [*FIXED, *([self.home] if self.home else [])])
        if number is None:
            return
        self.say(number, "flags or clears it in %s" % path.parent.name)
        place = path.parent / ".mailmount/flags/flagged" / path.name
        was, self.ledger.flagged[number] = self.ledger.flagged.get(number), None
        try:
            if was or was is None and self.chance.random() < 0.5:
                place.unlink()
                self.ledger.flagged[number] = False
            else:
                os.link(path, place)
                self.ledger.flagged[number] = True
        except FileExistsError:
            self.ledger.flagged[number] = True
        except FileNotFoundError:
            self.ledger.flagged[number] = was
            raise

    def folders(self):
        """A folder of its own: made, named anew with all in it, removed when it is empty."""
        self.names += 1
        new = "Home %d of worker %d" % (self.names, self.index)
        if not self.home:
            os.mkdir(self.root / new)
            self.home = new
            return
        if self.chance.random() < 0.7:
            os.rename(self.root / self.home, self.root / new)
            for number, place in list(self.ledger.place.items()):
                if place == self.home and self.own(number):
                    self.ledger.place[number] = new
                    self.say(number, "renamed %s to %s" % (place, new))
            self.home = new
            return
        self.clear_out()

    def clear_out(self):
        for name in os.listdir(self.root / self.home):
            found = NAME.search(name)
            if found and found[3]:
                self.step(int(found[1]), "Archive", lambda name=name: os.rename(
                    self.root / self.home / name, self.root / "Archive" / name))
        try:
            os.rmdir(self.root / self.home)
            self.home = None
        except OSError as problem:  # what came meanwhile
            if problem.errno not in (errno.ENOTEMPTY, errno.EBUSY):
                raise


class Usage:
    """What a process has."""

    def __init__(self, pid):
        self.descriptors = len(os.listdir("/proc/%d/fd" % pid))
        fields = dict(line.split(":", 1) for line in
                      Path("/proc/%d/status" % pid).read_text().splitlines())
        self.threads = int(fields["Threads"])
        self.memory = int(fields["RssAnon"].split()[0]) / 1024

    def __str__(self):
        return "%d descriptors, %d threads, RssAnon %.1f MiB" % (
            self.descriptors, self.threads, self.memory)


class Soak:
    """`growth`: MiB of RssAnon between a quarter and the end that are no leak."""

    def __init__(self, server, user, folder, seconds=60, seed=None, timeout=4, growth=24):
        self.server, self.user, self.seconds, self.growth = server, user, seconds, growth
        self.seed = seed if seed is not None else (
            os.environ.get("MAILMOUNT_SOAK_SEED") or str(random.SystemRandom().randrange(10**6)))
        self.timeout = timeout
        self.folder = Path(folder)
        self.ledger = Ledger()
        self.over = threading.Event()
        self.problems, self.notes = [], []
        self.usages = []

    def problem(self, text):
        self.problems.append("%.1f s: %s" % (time.monotonic() - self.started, text))

    def note(self, text):
        self.notes.append("%.1f s: %s" % (time.monotonic() - self.started, text))

    def run(self):
        print("seed %s" % self.seed, flush=True)
        self.started = time.monotonic()
        self.fill()
        with contextlib.ExitStack() as stack:
            self.network = stack.enter_context(Rough(
                self.server.imap_port, self.seed, 1.5 * self.timeout))
            self.mount = stack.enter_context(Mount(
                self.folder / "soak", self.server, user=self.user, tls="none",
                port=self.network.port, environment={"ASAN_OPTIONS": self.asan()},
                options=["timeout=%d" % self.timeout, "poll=5", "trash=Trash"]))
            self.actors = [Stranger(self, n) for n in range(CLIENTS)]
            self.actors += [Worker(self, n) for n in range(WORKERS)]
            self.work()
            self.settle()
            self.check()
        assert not self.problems, "seed %s: %d problems\n%s\n%s" % (
            self.seed, len(self.problems), "\n".join(self.problems[:40]), self.summary())

    def asan(self):
        # what was freed is held back, and would look like a leak
        return "log_path=%s/soak/reports/report:quarantine_size_mb=1" % self.folder

    def fill(self):
        with Other(self.server, self.user) as other:
            for folder in sorted(set(FIXED) - set(other.folders())):
                other.create(folder)
            for kind in (0, 1, 3):
                for _ in range(12):
                    number = self.ledger.new(kind)
                    other.deliver(FIXED[number // 4 % len(FIXED)], letter(number).raw)
                    self.ledger.put(number)

    def work(self):
        self.network.start()
        for actor in self.actors:
            actor.start()
        self.started = time.monotonic()
        quarter = self.started + self.seconds / 4
        while time.monotonic() < self.started + self.seconds and not self.hung():
            if quarter and time.monotonic() > quarter:
                self.usages.append(self.most_used())
                quarter = None
            time.sleep(0.2)
        self.over.set()
        for actor in self.actors:
            while actor.is_alive() and not self.hung():
                actor.join(1)
        self.network.make_good()

    def most_used(self):
        """The most of a few looks, since connections come and go."""
        looks = []
        for _ in range(10):
            looks.append(Usage(self.mount.worker()))
            time.sleep(0.1)
        best = looks[0]
        for name in ("descriptors", "threads", "memory"):
            setattr(best, name, max(getattr(look, name) for look in looks))
        return best

    def hung(self):
        """Whether an operation is never answered: then the mount is killed, which frees it."""
        for actor in self.actors:
            doing, since = actor.doing, actor.since
            if doing and time.monotonic() - since > HUNG:
                self.problem("%s is not answered: %s" % (actor.name, doing))
                say_where_they_hang(sys.stderr)
                return True
        return False

    def status(self):
        return (self.mount.path / ".mailmount/status").read_text()

    def settle(self):
        """Until all is sent, and the lists are as on the server."""
        if not wait_for(lambda: "\nchanges to be sent: 0\n" in self.status(), SLOW, 0.1):
            self.problem("not all is sent: " + self.status())
        self.note("all is sent")
        started = time.monotonic()
        self.equal = False
        while not self.equal and time.monotonic() - started < SLOW:
            with Other(self.server, self.user) as other:
                self.truth = {f: other.messages(f) for f in other.folders()}
            self.shown = self.listing()
            self.equal = self.difference() == []
            time.sleep(0 if self.equal else 0.3)
        for line in self.difference():
            self.problem(line)
        self.note("the lists are equal")
        self.usages.append(self.most_used())

    def listing(self):
        """{folder: {UID: path}} of the mount; `self.unlisted`: which it did not list, and why."""
        found, self.unlisted = {}, {}

        def fails(problem):
            folder = os.path.relpath(problem.filename, self.mount.path)
            self.unlisted[folder] = errno.errorcode.get(problem.errno, problem.errno)
        for where, names, files in os.walk(self.mount.path, onerror=fails):
            names[:] = [n for n in names if not NAME.search(n)]
            folder = os.path.relpath(where, self.mount.path)
            if folder != ".":
                found[folder] = {int(m[2]): os.path.join(where, m.string)
                                 for m in map(NAME.search, files) if m}
        return found

    def difference(self):
        lines = ["%s cannot be listed: %s" % each for each in sorted(self.unlisted.items())]
        lines += ["%s is %s" % (f, "missing" if f in self.truth else "too many")
                  for f in sorted((self.truth.keys() ^ self.shown.keys()) - self.unlisted.keys())]
        for folder in self.truth.keys() & self.shown.keys():
            there, shown = set(self.truth[folder]), set(self.shown[folder])
            if there != shown:
                lines.append("%s lacks %s, has %s too many" % (
                    folder, sorted(there - shown), sorted(shown - there)))
            lines += self.flags_difference(folder)
        return lines

    def flags_difference(self, folder):
        lines = []
        flags = Path(self.mount.path) / folder / ".mailmount/flags"
        wanted = {name: {u for u, (_, c) in self.truth[folder].items() if flag in c.flags}
                  for name, flag in FLAG_NAMES.items()}
        wanted["unread"] = {u for u, (_, c) in self.truth[folder].items()
                            if "\\seen" not in c.flags}
        tag = {u for u, (_, c) in self.truth[folder].items() if "$soak" in c.flags}
        for name, uids in [*((flags / n, u) for n, u in wanted.items()),
                           (flags.parent / "tags/$Soak", tag)]:
            try:
                got = {int(m[2]) for m in map(NAME.search, os.listdir(name)) if m}
            except FileNotFoundError:
                got = set()
            if got != uids:
                lines.append("%s: %s, not %s" % (name, sorted(got), sorted(uids)))
        return lines

    # -- the end

    def check(self):
        self.check_bytes()
        self.check_numbers()
        self.check_usage()
        failed = os.listdir(self.mount.path / ".mailmount/failed")
        if failed:
            self.problem("could not be sent: %s\n%s" % (failed, self.status()))
        if "last refusal" in self.status() or "does not stand" in self.status():
            self.note("status: " + self.status())

    def check_bytes(self):
        for folder, messages in self.truth.items():
            for uid, (_, copy) in messages.items():
                path = self.shown.get(folder, {}).get(uid)
                if path and hashlib.sha256(Path(path).read_bytes()).hexdigest() != copy.sha256:
                    self.problem("%s differs from the server's" % path)

    def check_numbers(self):
        places = collections.defaultdict(list)
        for folder, messages in self.truth.items():
            for key, copy in messages.values():
                places[int(re.match(r"<(\d+)@", key)[1])].append((folder, copy))
        for number in sorted(self.ledger.there | set(places)):
            self.check_number(number, places[number])

    def check_number(self, number, copies):
        wrong = [text for text in self.wrong_with(number, copies) if text]
        if wrong:
            self.problem("number %d %s; it was:\n  %s" % (
                number, ", ".join(wrong), "\n  ".join(self.ledger.history[number])))

    def wrong_with(self, number, copies):
        ledger = self.ledger
        folders = [folder for folder, _ in copies]
        yield number in ledger.there and not copies and "is lost"
        yield number not in ledger.there | ledger.unsure and "has come from nowhere"
        yield number % 4 != 3 and len(copies) > 1 and "is there %d times: %s" % (
            len(copies), folders)
        yield any(c.sha256 != digest(number) for _, c in copies) and "has other bytes there"
        place, flagged = ledger.place.get(number), ledger.flagged.get(number)
        yield place and copies and folders != [place] and number in ledger.there and (
            "is in %s, not in %s" % (folders, place))
        yield flagged is not None and any(
            ("\\flagged" in c.flags) != flagged for _, c in copies) and (
                "is%s flagged" % (" not" if flagged else ""))

    def check_usage(self):
        quarter, end = self.usages
        if end.descriptors > quarter.descriptors + 4:
            self.problem("descriptors grew: %s, then %s" % (quarter, end))
        if end.threads > max(quarter.threads, THREADS):
            self.problem("threads grew: %s, then %s" % (quarter, end))
        if end.memory > quarter.memory + self.growth:
            self.problem("memory grew: %s, then %s" % (quarter, end))

    def summary(self):
        lines = ["seed %s, %d s" % (self.seed, self.seconds),
                 "network: %s" % dict(self.network.done)]
        for actor in self.actors:
            lines.append("%s: %s; errors %s; longest %.1f s (%s)" % (
                actor.name, dict(actor.counts), dict(actor.errors), *actor.longest))
        lines += ["%s: %s" % pair for pair in zip(("at a quarter", "at the end"), self.usages)]
        return "\n".join(lines + self.notes[-40:])
