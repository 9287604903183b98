"""Starts the program on a server, finds its processes, ends it, and looks for what it left."""
import os
import re
import shutil
import signal
import subprocess
import time
import weakref
from pathlib import Path

from .servers import PASSWORD, process_runs

TOP = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("MAILMOUNT_TEST_BINARY") or TOP / "build" / "mailmount").resolve()
THREAD_ENDED = re.compile(r"(?m)^==\d+==Unable to get registers from thread \d+\.$")
SLOW = 120  # seconds after which something hangs, on the slowest machine


# What to do about mechanisms of libsasl2 whose modules leak: all callers of malloc() are noted,
# which is slow, to know the module; "auto" tries several, and is not looked at.
SUPPRESSED = {"LSAN_OPTIONS": "fast_unwind_on_malloc=0:malloc_context_size=20:print_suppressions=0:"
                              "suppressions=%s" % Path(__file__).with_name("lsan.supp")}
FORGETFUL_MODULES = {"gssapi": SUPPRESSED, "gs2-krb5": SUPPRESSED, "digest-md5": SUPPRESSED,
                     "auto": {"LSAN_OPTIONS": "detect_leaks=0"}}

# The first command in a mount namespace of its own: that has a copy of each mount of the tests that
# run beside, and a mount whose copy is there goes on after its umount.
APART = "umount -a -l -t fuse.mailmount 2>/dev/null || :\n"


def mounted(path):
    """The line of /proc/self/mountinfo, None if nothing is mounted there."""
    escaped = str(path).replace(" ", "\\040")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[4] == escaped:
            return line
    return None


def wait_for(condition, seconds=SLOW, pause=0.02):
    """What `condition` returns as soon as that is true; else its last answer."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(pause)
    return found


def say_where_they_hang(stream):
    """Writes what each mount of this process waits for, and ends it, so that who waits goes on."""
    for made in list(Mount.made):
        for pid in made.processes():
            stacks = subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt"],
                                    stdin=subprocess.DEVNULL, capture_output=True, text=True
                                    ).stdout if shutil.which("gdb") else "there is no gdb"
            stream.write("%s, process %d:\n%s\n" % (made.path, pid, stacks[-20000:]))
        if made.processes():
            stream.write("log:\n%s\n" % made.log.read_text()[-5000:])
            made.kill()


class Mount:
    """One run of the program. `folder` holds its home, its caches and its mount point.

    `server` has imap_port, imaps_port and ca (a Server), or port is given; `tls` is "implicit",
    "starttls" or "none"; `password` is what password_command prints, None: there is none.
    """

    made = weakref.WeakSet()

    def __init__(self, folder, server=None, user="alice", port=None, tls="implicit", options=(),
                 source=None, password=PASSWORD, arguments=(), environment=None, ca=None):
        Mount.made.add(self)
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / "mail"
        self.path.mkdir(exist_ok=True)
        self.reports = self.folder / "reports"
        self.reports.mkdir(exist_ok=True)
        self.log = self.folder / "log"
        self.secret = self.folder / "password"
        if password is not None:
            self.set_password(password)
        self.user = user
        self.process = None
        if port is None and server:
            port = server.imaps_port if tls == "implicit" else server.imap_port
        self.source = source or "%s://%s@localhost:%d" % (
            "imaps" if tls == "implicit" else "imap", user, port)
        options = [*options]
        if password is not None:
            options.append("password_command=cat " + str(self.secret))
        if tls == "none":
            options.append("tls=none")
        elif ca or server:
            options.append("tls_ca=" + str(ca or server.ca))
        self.arguments = [*arguments]
        for option in options:
            self.arguments += ["-o", option]
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8", "TZ": "UTC",
            **self.sanitizers(), **(environment or {})}

    def set_password(self, password):
        """What password_command prints from now on."""
        self.secret.write_text(password + "\n")
        self.secret.chmod(0o600)

    def sanitizers(self):
        log = "log_path=%s/report:" % self.reports
        return {"ASAN_OPTIONS": log, "UBSAN_OPTIONS": log + "print_stacktrace=1",
                "TSAN_OPTIONS": log, "G_SLICE": "always-malloc"}

    @property
    def command(self):
        return [str(BINARY), *self.arguments, self.source, str(self.path)]

    # -- start

    def run(self, timeout=SLOW):
        """Runs the program until it returns; its standard error goes to the log too."""
        if os.environ.get("MAILMOUNT_TEST_TRANSCRIPT") and "-f" not in self.arguments:
            return self.start_in_foreground(["-d"])
        with open(self.log, "a") as log:
            size = log.tell()
            status = subprocess.run(self.command, env=self.environment, timeout=timeout,
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log).returncode
        with open(self.log) as log:
            log.seek(size)
            return subprocess.CompletedProcess(self.command, status, stderr=log.read())

    def start_in_foreground(self, arguments=("-f",)):
        """Runs it with -f until it is mounted or has ended."""
        self.arguments = [*arguments, *self.arguments]
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=log,
                                            stdin=subprocess.DEVNULL, stderr=log)
        wait_for(lambda: mounted(self.path) or self.process.poll() is not None)
        return subprocess.CompletedProcess(self.command, self.process.poll() or 0,
                                           stderr=self.log.read_text())

    def __enter__(self):
        done = self.run()
        assert done.returncode == 0, "mailmount ended with status %d: %s\n%s" % (
            done.returncode, done.stderr, self.report())
        assert mounted(self.path), "it returned 0, but nothing is mounted: " + done.stderr
        return self

    def __exit__(self, *exception):
        self.unmount()

    # -- while it runs

    def processes(self):
        """Its process ids: the supervisor's and the worker's."""
        found = []
        for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = cmdline.read_bytes().split(b"\0")
            except OSError:
                continue
            pid = int(cmdline.parent.name)
            if os.fsencode(self.path) in words and words[0].endswith(b"mailmount") and (
                    process_runs(pid)):
                found.append(pid)
        return found

    def worker(self):
        """The process that serves the mount: it has /dev/fuse open."""
        for pid in self.processes():
            try:
                fds = list(Path("/proc/%d/fd" % pid).iterdir())
            except OSError:
                continue
            for fd in fds:
                try:
                    if os.readlink(fd) == "/dev/fuse":
                        return pid
                except OSError:
                    continue
        return None

    def report(self):
        """What the sanitizers wrote, but for threads that ended while a leak was looked for."""
        return "\n".join(filter(None, (
            THREAD_ENDED.sub("", p.read_text(errors="replace")).strip()
            for p in sorted(self.reports.iterdir()))))

    def folder_of(self, mailbox="INBOX"):
        return self.path / mailbox

    def message(self, subject, mailbox="INBOX"):
        """The .eml of the only message whose name holds `subject`."""
        found = [e for e in os.listdir(self.path / mailbox)
                 if subject in e and e.endswith("].eml")]
        assert len(found) == 1, "%d messages %r in %s" % (len(found), subject, mailbox)
        return self.path / mailbox / found[0]

    def parts(self, subject, mailbox="INBOX"):
        """Its directory."""
        return self.message(subject, mailbox).with_suffix("")

    # -- end

    def kill(self):
        """SIGKILLs its processes, the supervisor first, and returns when they are gone. What is
        left of the mount unmount() removes; then it can run again."""
        for pid in sorted(self.processes(), key=lambda pid: pid == self.worker()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        left = wait_for(lambda: not self.processes(), SLOW, 0.002)
        assert left, "SIGKILL did not end it"

    def unmount(self, lazily=False):
        """Unmounts, waits for the processes' end, and fails if one stays or complained."""
        umount = ["fusermount3", "-u"] if os.getuid() else ["umount"]

        def try_once():
            return not mounted(self.path) or subprocess.run(
                [*umount, *(["-l" if umount[0] == "umount" else "-z"] if lazily else []),
                 self.path], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
        gone = wait_for(try_once, 20, 0.1)
        wait_for(lambda: not self.processes(), 60)
        left = self.processes()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        if self.process:
            self.process.wait(SLOW)
        if mounted(self.path):
            subprocess.run(["umount", "-l", self.path] if not os.getuid()
                           else ["fusermount3", "-uz", self.path], capture_output=True)
        assert not self.report(), self.report()
        assert gone, "it could not be unmounted"
        assert not left, "these processes stayed: %s" % left

    def forget(self):
        """Removes its caches."""
        for name in (".cache", ".local"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
