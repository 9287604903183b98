"""Nothing lost, nothing doubled: the program is killed, and its connection cut, at each step of
each change, on each kind of server.

Each step of the protocol is a state of the server, and lies between two states of the journal, so
accidents before and after each step meet all pairs of both: an answer that came and is not written
down yet is as good as one that did not come. Kills after the nth write to the journal come in
between, not to the point; what a kill amid a write leaves tests/cache/test-journal-hard.c says, and
what the engine does with each pair, step by step, tests/fs/test-engine-push-lost.c.

tests/check makes one accident of a kind at each step, before it or after it; with
MAILMOUNT_TEST_ALL=1 both, and on a scripted server with the usual extensions too.
"""
import errno
import os
import random
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import full_plain
from lib import plainserver
from lib.mount import wait_for
from lib.others import Other
from lib.trials import DATE, Trial, copy_in, flags_of, key, letter

ALL = os.environ.get("MAILMOUNT_TEST_ALL") == "1"
THREADS = 16
SERVERS = ("dovecot", "cyrus", "bare", *(["usual"] if ALL else []))


class Change:
    home, takes = "A", 2
    folders, shown = ("A", "B"), ("A", "B")

    def prepare(self, trial):
        pass


class Move(Change):
    def __call__(self, trial, numbers):
        for number in numbers:
            name = trial.names[number]
            trial.attempt_on(
                number, lambda: os.rename(trial.path("A", name), trial.path("B", name)),
                [copy_in("B", number)], "A")


class Trash(Change):
    shown = ("A", "Trash")

    def __call__(self, trial, numbers):
        for number in numbers:
            trial.attempt_on(number, lambda: os.unlink(trial.path("A", trial.names[number])),
                             [copy_in("Trash", number)], "A")


class Expunge(Change):
    home, shown = "Trash", ("Trash",)

    def __call__(self, trial, numbers):
        for number in numbers:
            trial.attempt_on(number, lambda: os.unlink(trial.path("Trash", trial.names[number])),
                             [], "Trash")


class Flags(Change):
    """One gets a flag, one loses it, one gets a keyword."""

    takes, shown = 3, ("A",)

    def __call__(self, trial, numbers):
        for number, view in zip(numbers, ("flags/flagged", "flags/flagged", "tags/$Work")):
            name = trial.names[number]
            link = trial.path("A", ".mailmount", view, name)
            flags = set(flags_of(number))
            word = "$Work" if view == "tags/$Work" else "\\Flagged"
            if view == "tags/$Work":
                trial.attempt(lambda at=link: at.parent.mkdir(exist_ok=True))
            if word in flags:
                action, flags = (lambda at=link: os.unlink(at)), flags - {word}
            else:
                action = (lambda at=link, to=name: os.link(trial.path("A", to), at))
                flags |= {word}
            trial.attempt_on(number, action, [copy_in("A", number, flags)])


class Append(Change):
    takes, shown = 0, ("A",)

    def __call__(self, trial, numbers):
        trial.last += 1
        number = trial.last
        file = trial.files / ("%d.eml" % number)
        file.write_bytes(letter(number))
        os.utime(file, (DATE + number, DATE + number))
        done = trial.attempt_on(number, lambda: cp("-p", file, trial.path("A")),
                                [copy_in("A", number, ())])
        fired = trial.cutter.fired
        if not done and fired and fired.command == "APPEND":  # it was in the journal
            trial.expect(number, [copy_in("A", number, ())])


class Copy(Change):
    takes = 1

    def __call__(self, trial, numbers):
        number, = numbers
        trial.attempt_on(number, lambda: cp(trial.path("A", trial.names[number]), trial.path("B")),
                         [copy_in("A", number), copy_in("B", number)])


class Create(Change):
    takes, shown = 0, ("A",)

    def __call__(self, trial, numbers):
        self.make(trial, "N")

    def make(self, trial, name):
        """Returns the new folder's name on the server, and its path."""
        wire = "%s&APw-%d" % (name, trial.runs)
        path = trial.path("%sü%d" % (name, trial.runs))
        before, = trial.folders
        done = trial.attempt(path.mkdir)
        trial.folders = [before | {wire}] + ([] if done else [before])
        return wire, path, done


class File(Create):
    """Moves messages into a folder made for them."""

    takes = 2

    def __call__(self, trial, numbers):
        wire, path, done = self.make(trial, "F")
        for number in numbers if done else ():
            name = trial.names[number]
            trial.attempt_on(number, lambda: os.rename(trial.path("A", name), path / name),
                             [copy_in(wire, number)], "A")


class Rename(Change):
    """Of a folder with two messages, and one in a folder below."""

    takes, folders, shown = 0, (), ()

    def prepare(self, trial):
        trial.other.create("R0")
        trial.other.create("R0/C")
        self.numbers = {n: "" for n in trial.deliver("R0", 2)}
        self.numbers |= {n: "/C" for n in trial.deliver("R0/C", 1)}
        trial.folders = [{"R0", "R0/C"}]

    def __call__(self, trial, numbers):
        before, = trial.folders
        old, new = min(before), "R%d" % trial.runs
        assert wait_for(trial.path(old).exists), old  # the list of folders follows in a moment
        done = trial.attempt(lambda: os.rename(trial.path(old), trial.path(new)))
        trial.folders = [{new, new + "/C"}] + ([] if done else [before])
        for number, below in self.numbers.items():
            trial.expect(number, [copy_in(new + below, number)],
                         *([] if done else trial.wanted[key(number)]))


class Remove(Change):
    takes, folders, shown = 0, (), ()

    def prepare(self, trial):
        trial.folders = [{"E%d" % n for n in range(1, 401)}]
        for name in trial.folders[0]:
            trial.other.create(name)

    def __call__(self, trial, numbers):
        before, = trial.folders
        name = "E%d" % trial.runs
        done = trial.attempt(lambda: os.rmdir(trial.path(name)))
        trial.folders = [before - {name}] + ([] if done else [before])


def cp(*words):
    done = subprocess.run(["cp", *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True)
    if done.returncode:
        raise OSError(done.stderr)


CHANGES = (Append, Move, Trash, Expunge, Flags, Create, Rename, Copy, File, Remove)
CASES = [(server, change, mode) for server in SERVERS for change in CHANGES
         for mode in ("kill", "cut", "journal")
         if ALL or mode != "journal" or server != "cyrus"]  # the journal knows no servers
NAMES = ["%s-%s-%s" % (server, change.__name__.lower(), mode) for server, change, mode in CASES]


def make_server(request, kind, user):
    """A plain server is the trial's own."""
    if kind in ("bare", "usual"):
        return full_plain(() if kind == "bare" else (*plainserver.USUAL, "QUOTA", "ACL"))
    server = request.getfixturevalue("full_" + kind)
    server.add_user(user)
    return server


def make_trial(request, folder, name):
    kind, change, mode = CASES[NAMES.index(name)]
    user = "cuts-" + name
    return Trial(make_server(request, kind, user), user, folder / name, change(), mode, ALL)


def run_trial(trial):
    if not isinstance(trial.server, plainserver.PlainServer):
        with trial:
            trial.go()
        return
    with trial.server, trial:
        trial.go()


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    """{name: the trial's future}. All that were asked for run side by side: they mostly wait."""
    chosen = [item.callspec.params["name"] for item in request.session.items
              if getattr(item, "originalname", "") == "test_accidents"]
    folder = tmp_path_factory.mktemp("cuts")
    trials = {name: make_trial(request, folder, name) for name in chosen}
    with ThreadPoolExecutor(THREADS) as pool:
        yield {name: pool.submit(run_trial, trial) for name, trial in trials.items()}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", NAMES)
def test_accidents(outcomes, name):
    outcomes[name].result()


# -- other clients

class Marking(threading.Thread):
    """A second client that marks its messages \\Deleted all the while: {folder: numbers}."""

    def __init__(self, trial, numbers):
        super().__init__(daemon=True)
        self.trial, self.numbers, self.over, self.rounds = trial, numbers, threading.Event(), 0

    def run(self):
        with Other(self.trial.server, self.trial.user) as other:
            uids = {folder: [uid for uid, (name, _) in other.messages(folder).items()
                             if name in {key(n) for n in numbers}]
                    for folder, numbers in self.numbers.items()}
            while not self.over.is_set() or self.rounds < 1:
                for index in range(max(map(len, uids.values()))):
                    for folder in uids:
                        uid = uids[folder][index:index + 1]
                        other.mark(folder, uid, ["\\Deleted"], "-")
                        other.mark_deleted(folder, uid)
                self.rounds += 1


@pytest.mark.parametrize("kind", ["dovecot", "cyrus", "bare"])
def test_what_others_have_marked_stays(request, folder, user, kind):
    """While we move, delete and expunge, in the same folders."""
    server = make_server(request, kind, user)
    with server if kind == "bare" else open(os.devnull), Trial(
            server, user, folder, Change(), "cut") as trial:
        for name in ("A", "B"):
            trial.other.create(name)
        trial.fixed = set(trial.other.folders())
        mine, theirs = [], {"A": [], "B": [], "Trash": []}
        for name in list(theirs) * 10:
            theirs[name] += trial.deliver(name, 1)
            mine += trial.deliver("A", 1)
        trial.start()
        trial.learn_names("A")
        marking = Marking(trial, theirs)
        marking.start()
        for count, number in enumerate(mine):
            name = trial.names[number]
            trial.attempt_on(
                number, lambda: os.rename(trial.path("A", name), trial.path("B", name)),
                [copy_in("B", number)], "A")
            if count % 3:
                continue
            trial.settle()
            name = next(n for n in os.listdir(trial.path("B"))
                        if "number %d [" % number in n and n.endswith(".eml"))
            trial.attempt_on(number, lambda: os.unlink(trial.path("B", name)),
                             [copy_in("Trash", number)], "B")
            if count % 2:
                continue
            trial.settle()
            name = next(n for n in os.listdir(trial.path("Trash"))
                        if "number %d [" % number in n and n.endswith(".eml"))
            trial.attempt_on(number, lambda: os.unlink(trial.path("Trash", name)), [], "Trash")
        trial.settle()
        marking.over.set()
        marking.join()
        for name, numbers in theirs.items():
            for number in numbers:
                trial.expect(number, [copy_in(name, number, (*flags_of(number), "\\Deleted"))])
        trial.check()


class Hand(threading.Thread):
    """Changes mail at random on one of two mounts of an account."""

    def __init__(self, trial, seconds, numbers):
        super().__init__(daemon=True)
        self.trial, self.numbers = trial, iter(numbers)
        self.random = random.Random(numbers.start)
        self.until = time.monotonic() + seconds
        self.appended, self.done, self.problems = [], 0, []
        self.taken = []  # (number, folder, time) of what it moved or removed

    def run(self):
        while time.monotonic() < self.until:
            action = self.random.choice((self.move, self.move, self.remove, self.flag, self.append))
            try:
                action()
                self.done += 1
            except FileNotFoundError:
                pass  # the other was faster
            except OSError as problem:
                # EPERM: a message that is only just coming cannot be flagged yet
                if action != self.flag or problem.errno != errno.EPERM:
                    self.problems.append("%s: %s" % (action.__name__, problem))
            time.sleep(self.random.random() / 5)

    def pick(self, folder):
        names = [n for n in os.listdir(self.trial.path(folder)) if n.endswith("].eml")]
        if not names:
            raise FileNotFoundError
        return self.random.choice(names)

    def take(self, folder):
        name = self.pick(folder)
        self.taken.append((number_of(name), folder, time.monotonic()))
        return name

    def move(self):
        source, target = self.random.sample(("A", "B"), 2)
        name = self.take(source)
        os.rename(self.trial.path(source, name), self.trial.path(target, name))

    def remove(self):
        os.unlink(self.trial.path("A", self.take("A")))

    def flag(self):
        name = self.pick("A")
        view = self.trial.path("A", ".mailmount/flags/flagged", name)
        if view.exists():
            view.unlink()
        else:
            os.link(self.trial.path("A", name), view)

    def append(self):
        number = next(self.numbers)
        file = self.trial.files / ("%d.eml" % number)
        file.write_bytes(letter(number))
        os.utime(file, (DATE + number, DATE + number))
        cp("-p", file, self.trial.path("A"))
        self.appended.append(number)


def at_once(one, two, number):
    """Whether both hands took it from one folder at about the same time."""
    return any(a[:2] == b[:2] and a[0] == number and abs(a[2] - b[2]) < 5
               for a in one.taken for b in two.taken)


def number_of(name):
    return int(name.split("number ")[1].split(" ")[0])


def shown(trial, folder):
    return sorted(number_of(n) for n in os.listdir(trial.path(folder)) if n.endswith("].eml"))


@pytest.mark.parametrize("kind", ["dovecot", "cyrus"])
def test_two_mounts_of_one_account(request, folder, user, kind):
    server = make_server(request, kind, user)
    (folder / "two").mkdir()
    with Trial(server, user, folder, Change(), "cut") as one, Trial(
            server, user, folder / "two", Change(), "cut") as two:
        for name in ("A", "B"):
            one.other.create(name)
        numbers = [*one.deliver("A", 40), *one.deliver("B", 10)]
        for trial in (one, two):
            trial.start()
        hands = [Hand(one, 60 if ALL else 15, range(1000, 2000)),
                 Hand(two, 60 if ALL else 15, range(2000, 3000))]
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()
            assert hand.done > 20 and not hand.problems, (hand.done, hand.problems)
            numbers += hand.appended
        for trial in (one, two):
            trial.until(trial.is_idle)
        found = one.other.copies()
        assert found.keys() == {key(n) for n in numbers}
        places = {"A": [], "B": [], "Trash": []}
        for number in sorted(numbers):
            copies = found[key(number)]
            # Dovecot copies before it expunges, so it may do so for both
            assert len(copies) == 1 or (kind == "dovecot" and at_once(*hands, number)), copies
            for copy in copies:
                places[copy.folder].append(number)
                assert copy.meets(copy_in(copy.folder, number)._replace(flags=None))
        for trial in (one, two):
            for name, there in places.items():
                assert wait_for(lambda: shown(trial, name) == there, 60), (
                    name, shown(trial, name), there)
