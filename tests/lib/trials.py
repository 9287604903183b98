"""The same change made on a mount again and again, each time with an accident at another step.

    with Trial(server, user, folder, Move(), "kill") as trial:
        trial.go()                  # raises AssertionError with all that went wrong

A run makes the change with messages of its own. The first goes undisturbed and tells the steps; of
the following each has one accident:

    cut      the connection ends there, and the program goes on by itself
    kill     the program is killed there, and started again on what it left
    journal  the program is killed when it has written to the journal for the nth time

Then all that is queued must go out, and the server must have exactly one copy of each message, in
the right place with the right flags, date and bytes, and each folder once.
"""
import collections
import ctypes
import os
import select
import signal
import struct
import threading
from pathlib import Path

from .cutter import CHANGING, Cutter
from .mount import SLOW, Mount, wait_for
from .others import Other, copy_of, message_id
from .plainserver import PlainServer

# what goes before a change, looks up its outcome or follows it
QUIET = ("SELECT", "STATUS", "LIST", "EXAMINE", "UID FETCH", "SUBSCRIBE", "UNSUBSCRIBE")
DATE = 1600000000
IN_MODIFY, MNT_FORCE = 2, 1
LIBC = ctypes.CDLL(None, use_errno=True)


def letter(number):
    return (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\n"
            b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nSubject: number %d\r\n"
            b"Message-ID: <n%d@cuts.example.org>\r\n\r\nThis is number %d.\r\n%s" % (
                number, number, number, b"A line.\r\n" * (number % 7)))


def key(number):
    return message_id(letter(number))


def flags_of(number):
    return ("\\Flagged", "$Even") if number % 2 == 0 else ("\\Answered",)


def copy_in(folder, number, flags=None):
    """What there should be of a message of the trial's."""
    return copy_of(folder, letter(number), flags_of(number) if flags is None else flags,
                   DATE + number)


class Watch:
    """Calls back when one of the files was written for the nth time, as soon as that is seen.
    Writings that follow each other at once may be seen as one."""

    def __init__(self, paths):
        self.fd = LIBC.inotify_init1(os.O_CLOEXEC)
        for path in paths:
            assert self.fd >= 0 and LIBC.inotify_add_watch(
                self.fd, os.fsencode(path), IN_MODIFY) >= 0, path
        self.seen, self.at, self.callback = 0, None, None
        self.over = False
        self.fired = threading.Event()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while not self.over:
            if not select.select([self.fd], [], [], 0.2)[0]:
                continue
            data = os.read(self.fd, 4096)
            while data:
                self.seen += 1
                if self.seen == self.at:
                    self.callback()
                    self.fired.set()
                    return
                data = data[16 + struct.unpack_from("iIII", data)[3]:]

    def close(self):
        self.over = True
        self.thread.join()
        os.close(self.fd)


class Trial:
    """`change` is called with (trial, numbers), and has
        home       where its messages lie at first, each with its number
        takes      how many messages a run needs
        folders    what is made before
        shown      which folders the mount lists afterwards; before, too, unless the mode is kill:
                   what comes to a folder whose list is not kept is settled in another way
        prepare    called with the trial before the mount
    `all_points`: accidents before and after each step."""

    def __init__(self, server, user, folder, change, mode, all_points=False):
        self.server, self.user, self.change, self.mode = server, user, change, mode
        self.all_points = all_points
        self.folder = Path(folder)
        self.bare = isinstance(server, PlainServer) and not server.has("UIDPLUS")
        self.wanted = {}      # Message-ID: sets of copies, of which one is right
        self.left = {}        # Message-ID: folders where it is marked, and cannot be expunged
        self.folders = [set()]  # beside those that were there: sets, of which one is right
        self.names = {}       # number: name of its file
        self.last = 0         # number given out
        self.runs = 0
        self.unsure = False   # the program is gone, or going
        self.problems = []

    # -- before and after

    def __enter__(self):
        self.cutter = Cutter(self.server.imap_port, commands=(*CHANGING, *QUIET)).__enter__()
        self.other = Other(self.server, self.user)
        self.mount = Mount(self.folder / "m", self.server, user=self.user, tls="none",
                           port=self.cutter.port, options=["trash=Trash"])
        self.files = self.folder / "files"
        self.files.mkdir()
        return self

    def __exit__(self, *exception):
        try:
            self.mount.unmount()
        finally:
            self.other.__exit__()
            self.cutter.__exit__()

    def deliver(self, folder, count):
        """New messages. Returns their numbers."""
        numbers = range(self.last + 1, self.last + 1 + count)
        for number in numbers:
            self.other.deliver(folder, letter(number), flags_of(number), DATE + number)
            self.expect(number, [copy_in(folder, number)])
        self.last += count
        return list(numbers)

    def expect(self, number, *alternatives):
        self.wanted[key(number)] = [frozenset(a) for a in alternatives]

    def path(self, *names):
        return self.mount.path.joinpath(*names)

    def learn_names(self, folder):
        """The mount's names of the messages in it."""
        for name in os.listdir(self.path(folder)):
            if name.endswith("].eml") and "number " in name:
                self.names[int(name.split("number ")[1].split(" ")[0])] = name

    # -- for changes

    def attempt(self, action):
        """True: done. False: the program was killed meanwhile, and it may be done."""
        try:
            action()
            return True
        except OSError as error:
            if not self.unsure_by_now():
                raise AssertionError("%s" % error) from error
            return False

    def attempt_on(self, number, action, becomes, leaves=None):
        """Does something to a message, which then has these copies. On a bare server one more is
        left, marked, in `leaves`."""
        before = self.wanted.get(key(number), [frozenset()])
        done = self.attempt(action)
        self.expect(number, becomes, *([] if done else before))
        if leaves:
            self.left.setdefault(key(number), set()).add(leaves)
        return done

    def unsure_by_now(self):
        """Whether the program was killed."""
        return self.mode != "cut" and wait_for(lambda: self.unsure, 20)

    # -- runs

    def go(self):
        for name in self.change.folders:
            self.other.create(name)
        self.fixed = set(self.other.folders())
        self.stock = collections.deque()
        if self.change.takes:
            self.stock.extend(self.deliver(self.change.home, self.change.takes * 60))
        self.change.prepare(self)
        self.start()
        if self.change.takes:
            self.learn_names(self.change.home)
        for name in self.change.shown if self.mode != "kill" else ():
            os.listdir(self.path(name))
        points = self.first_run()
        for index, point in enumerate(points):
            try:
                self.one_run(index, *point)
            except AssertionError as problem:
                self.problems.append("%s %s: %s" % (self.mode, point, problem))
            if len(self.problems) > 3:
                break
        try:
            self.check_shown()
        except AssertionError as problem:
            self.problems.append(str(problem))
        assert not self.problems, "\n".join(self.problems)
        assert not getattr(self.server, "violations", None), self.server.violations

    def numbers(self):
        return [self.stock.popleft() for _ in range(self.change.takes)]

    def stock_up(self):
        """Servers may tell more than usual, and each line is a point."""
        if len(self.stock) >= self.change.takes:
            return
        new = self.deliver(self.change.home, self.change.takes * 20)

        def known():
            self.learn_names(self.change.home)
            return self.names.keys() >= set(new)
        assert wait_for(known, SLOW), "what is new is not shown"
        self.stock.extend(new)

    def first_run(self):
        """Undisturbed. Returns the points at which accidents are to happen."""
        self.cutter.arm()
        watch = Watch(self.journal()) if self.mode == "journal" else None
        self.runs = 1
        self.change(self, self.numbers())
        self.settle()
        steps = list(self.cutter.steps)
        self.check()
        if watch:
            watch.close()
            assert watch.seen > 0, "nothing was written to the journal"
            return [(n, "after") for n in range(1, watch.seen + 2)]
        return points_of(steps, self.mode, self.all_points)

    def one_run(self, index, at, where):
        self.runs += 1
        self.unsure = False
        self.stock_up()
        {"cut": self.run_cut, "kill": self.run_kill, "journal": self.run_journal}[self.mode](
            index, at, where)
        self.check()

    def run_cut(self, index, at, where):
        self.cutter.arm(at, where, ("rst", "fin")[index % 2])
        self.change(self, self.numbers())
        self.settle()

    def run_kill(self, index, at, where):
        self.cutter.arm(at, where, callback=self.kill)
        self.change(self, self.numbers())
        self.until(lambda: self.unsure or self.is_idle())
        if self.cutter.disarm():
            assert self.cutter.wait_fired(), "it was not killed"
            self.again(index)
        self.settle()

    def run_journal(self, index, at, where):
        watch = Watch(self.journal())
        pids = sorted(self.mount.processes(), key=lambda pid: pid == self.mount.worker())
        watch.callback, watch.at = lambda: self.kill_now(pids), at
        self.change(self, self.numbers())
        self.until(lambda: self.unsure or self.is_idle())
        watch.close()
        if watch.fired.is_set():
            self.mount.kill()
            self.again(index)
        self.settle()

    def kill(self):
        pids = self.mount.processes()
        self.unsure = True
        self.mount.kill()
        free(pids, self.mount.path)

    def kill_now(self, pids):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.unsure = True
        free(pids, self.mount.path)

    def start(self):
        done = self.mount.run()
        assert done.returncode == 0, "it did not start: %s %s" % (done.stderr, self.mount.report())

    def again(self, index):
        """Every third time the first connection is cut too."""
        if index % 3 == 2:
            self.cutter.arm(1 + index % 5)
        self.start()
        self.unsure = False

    def journal(self):
        """The files that it writes: what was changed last, and the rest."""
        state = self.mount.folder / ".local/state/mailmount"
        found = [*state.glob("*/tail"), *state.glob("*/journal/data.mdb")]
        assert len(found) == 2, found
        return found

    def status(self):
        try:
            return self.path(".mailmount/status").read_text()
        except OSError:
            if not self.unsure_by_now():
                raise
            return ""

    def is_idle(self):
        return "\nchanges to be sent: 0\n" in self.status()

    def until(self, condition):
        assert wait_for(condition, SLOW, 0.05), "changes are stuck: " + self.status()

    def settle(self):
        """Waits until the server has everything."""
        self.until(self.is_idle)
        self.cutter.disarm()
        status = self.status()
        assert "last refusal" not in status, status
        assert os.listdir(self.path(".mailmount/failed")) == [], status

    # -- what there is

    def found(self):
        """As Other.copies(), and of it what is marked where a bare server keeps it."""
        found, marked = self.other.copies(), {}
        for name, folders in self.left.items() if self.bare else ():
            for copy in list(found.get(name, [])):
                if "\\deleted" in copy.flags and copy.folder in folders:
                    found[name].remove(copy)
                    marked.setdefault(name, []).append(copy.folder)
        return found, marked

    def check(self):
        """Fails unless the server has what is wanted. What was unsure is known then."""
        found, marked = self.found()
        problems = []
        for name in found.keys() | self.wanted.keys():
            got, wanted = found.get(name, []), self.wanted.get(name, [frozenset()])
            right = [w for w in wanted if is_exactly(got, w)]
            if not right:
                problems.append("%s is %s, not %s" % (name, got, [set(w) for w in wanted]))
            self.wanted[name] = right[:1] or [frozenset(got)]
        problems += ["%s is marked in %s" % item for item in marked.items()
                     if len(item[1]) > len(set(item[1]))]
        folders = set(self.other.folders()) - self.fixed
        if folders not in self.folders or not self.fixed <= set(self.other.folders()):
            problems.append("folders: %s, not %s" % (folders, self.folders))
        self.folders = [folders]
        assert not problems, "%s\nfired: %s" % ("\n".join(problems), self.cutter.fired)

    def check_shown(self):
        """The tree shows the same."""
        wanted = {}
        for copies in self.wanted.values():
            for copy in copies[0]:
                wanted[copy.folder] = wanted.get(copy.folder, 0) + 1
        for folder in sorted(self.change.shown):
            def count(where=folder):
                return sum(n.endswith(".eml") for n in os.listdir(self.path(where)))
            assert wait_for(lambda: count() == wanted.get(folder, 0), 60), "%s shows %d, not %d" % (
                folder, count(), wanted.get(folder, 0))


def free(pids, path):
    """A killed program can be stuck amid a notification: in the kernel, for a directory that is
    locked by who waits for the program. Only an end of the connection by force frees both."""
    if not wait_for(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in pids), 2):
        LIBC.umount2(os.fsencode(path), MNT_FORCE)


def is_exactly(got, wanted):
    """Whether these copies are the wanted ones, each once."""
    left = list(got)
    for copy in wanted:
        match = next((g for g in left if g.meets(copy)), None)
        if match is None:
            return False
        left.remove(match)
    return not left


def is_news(step):
    """Of other mailboxes (RFC 5465), which come when they come."""
    return step.what == "answer" and step.command not in QUIET and step.text.startswith(
        (b"* STATUS ", b"* LIST "))


def points_of(steps, mode, all_points):
    """[((command, its how manyeth step), where)]: each step of what changes mail, before or after
    it: where a kill is before, a cut is after. Of what comes with it the first line. `all_points`:
    each at both sides, and all lines and last answers of the rest."""
    counts, points = {}, []
    for number, step in enumerate(steps):
        counts[step.command] = counts.get(step.command, 0) + 1
        follows = steps[number + 1] if number + 1 < len(steps) else None
        last = step.what == "answer" and (
            follows is None or follows.what == "line" or
            (follows.connection, follows.command) != (step.connection, step.command))
        wanted = counts[step.command] == 1 or all_points and (step.what == "line" or last)
        if (step.command not in QUIET and not is_news(step)) or wanted:
            points.append((step.command, counts[step.command]))
    sides = ("before", "after")
    if all_points:
        return [(point, side) for point in points for side in sides]
    return [(point, sides[(number + (mode == "cut")) % 2]) for number, point in enumerate(points)]
