"""A Debian 12 of its own, in a folder: packages are installed in it, and its systemd is booted.

    with Machine(folder) as machine:
        machine.run("apt-get install -y ./mailmount.deb")
        machine.boot()
        machine.run("systemctl --user start mailmount@work", user="alice")

Root only. It shares the network of the host, so that servers of the tests can be reached, and
nothing else.
"""
import os
import signal
import subprocess
from pathlib import Path

from .mount import SLOW, wait_for
from .servers import process_runs

SYSTEM = ("systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd")
TIME = 600  # seconds after which apt hangs


class Machine:
    def __init__(self, folder):
        self.root = Path(folder) / "root"
        self.log = Path(folder) / "machine.log"
        self.process = None
        self.init = None

    def __enter__(self):
        with open(self.log, "ab") as log:
            done = subprocess.run(
                ["debootstrap", "--variant=minbase", "--include=" + ",".join(SYSTEM), "bookworm",
                 self.root], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        assert done.returncode == 0, self.said()
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        return self

    def __exit__(self, *exception):
        self.halt()

    def said(self):
        return self.log.read_text(errors="replace")[-5000:]

    # -- its systemd

    def boot(self):
        """Until its systemd says that it is up."""
        fuse = self.root.parent / "fuse"
        if not fuse.exists():
            os.mknod(fuse, 0o666 | 0o020000, os.makedev(10, 229))
            fuse.chmod(0o666)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot",
                 "--machine=mailmount-%d" % os.getpid(), "--directory", self.root,
                 "--link-journal=no", "--resolv-conf=off", "--timezone=off",
                 "--bind=%s:/dev/fuse" % fuse, "--bind=/dev/autofs"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        assert wait_for(self.find_init), self.said()
        wait_for(lambda: self.run("systemctl is-system-running --wait", check=False).stdout.strip()
                 in ("running", "degraded"), pause=0.5)
        state = self.run("systemctl is-system-running", check=False).stdout.strip()
        assert state == "running", state + self.run("systemctl --failed", check=False).stdout

    def find_init(self):
        """systemd-nspawn's child is the machine's first process."""
        path = Path("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid))
        if not process_runs(self.process.pid):
            return None
        for child in path.read_text().split():
            if Path("/proc/%s/comm" % child).read_text().strip() == "systemd":
                self.init = int(child)
        return self.init

    def halt(self):
        if not self.process:
            return
        if self.init and process_runs(self.init):
            os.kill(self.init, signal.SIGRTMIN + 4)  # systemd(1): powers off
        try:
            self.process.wait(SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = self.init = None

    # -- commands in it

    def run(self, script, user=None, check=True):
        """Runs a script in it as root, or as a user with a session."""
        if user:
            script = "exec setpriv --reuid=%s --regid=%s --init-groups env HOME=/home/%s " \
                "USER=%s XDG_RUNTIME_DIR=/run/user/$(id -u %s) sh -ec '%s'" % (
                    user, user, user, user, user, script.replace("'", "'\\''"))
        enter = ["nsenter", "--target", str(self.init), "--mount", "--uts", "--ipc", "--pid",
                 "--cgroup", "--root", "--wd"] if self.init else [
            "unshare", "--mount", "--propagation", "private", "chroot", str(self.root)]
        done = subprocess.run(
            [*enter, "sh", "-ec", "cd /\n" + script], stdin=subprocess.DEVNULL, timeout=TIME,
            capture_output=True, text=True, errors="replace",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root",
                 "DEBIAN_FRONTEND": "noninteractive"})
        assert not check or done.returncode == 0, "%s\nended with status %d: %s\n%s" % (
            script, done.returncode, done.stdout[-4000:], done.stderr[-4000:])
        return done

    def files(self):
        """All that is in it, but what changes by itself."""
        found = set()
        for folder, folders, names in os.walk(self.root):
            here = "/" + os.path.relpath(folder, self.root)
            if here in ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/log", "/var/cache",
                        "/var/lib/apt", "/var/lib/dpkg", "/var/lib/systemd"):
                folders.clear()
                continue
            found.update(os.path.join(here, name) for name in (*folders, *names))
        return found
