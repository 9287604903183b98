"""A file manager on a screen that nobody sees, driven by keys like a person's.

    with Desktop(folder) as desktop:
        desktop.open(mount.path / "INBOX")
        desktop.keys("ctrl+a", "ctrl+c")
        desktop.shot("copied")
"""
import os
import shutil
import subprocess
import time
from pathlib import Path

from .mount import SLOW, wait_for

PROGRAMS = ("Xvfb", "pcmanfm", "xdotool", "dbus-run-session", "import")
WIDTH, HEIGHT = 1000, 700


def missing():
    """The programs that are not on this machine."""
    return [name for name in PROGRAMS if not shutil.which(name)]


class Desktop:
    """Screenshots go to `folder`/shots, and to $MAILMOUNT_TEST_SHOTS if that is set."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.shots = Path(os.environ.get("MAILMOUNT_TEST_SHOTS") or self.folder / "shots")
        self.home = self.folder / "desktop-home"
        self.processes = []

    def __enter__(self):
        self.home.mkdir(mode=0o700)
        self.shots.mkdir(parents=True, exist_ok=True)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        read, write = os.pipe()
        screen = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "%dx%dx24" % (WIDTH, HEIGHT),
             "-nolisten", "tcp"], pass_fds=[write], stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.processes.append(screen)
        os.close(write)
        with os.fdopen(read) as number:
            display = number.readline().strip()
        assert display, "Xvfb does not start"
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "DISPLAY": ":" + display,
            "XDG_RUNTIME_DIR": str(self.home), "LC_ALL": "C.UTF-8", "NO_AT_BRIDGE": "1"}
        self.log = open(self.folder / "desktop.log", "a")
        manager = subprocess.Popen(
            ["dbus-run-session", "--", "pcmanfm", self.home], env=self.environment,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.processes.append(manager)
        assert wait_for(self.window, SLOW), "the file manager shows no window"
        time.sleep(1)

    def __exit__(self, *exception):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if getattr(self, "log", None):
            self.log.close()

    def run(self, *command):
        return subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=SLOW)

    def window(self):
        """The last window that is on the screen."""
        found = self.run("xdotool", "search", "--onlyvisible", "--class", "pcmanfm").stdout.split()
        return found[-1] if found else None

    def windows(self):
        return self.run("xdotool", "search", "--onlyvisible", "--class", "pcmanfm").stdout.split()

    def keys(self, *keys):
        for key in keys:
            self.run("xdotool", "key", key)
            time.sleep(0.4)

    def open(self, folder):
        """Shows a folder, its files ready to be chosen."""
        self.keys("ctrl+l")
        self.run("xdotool", "key", "ctrl+a")
        self.run("xdotool", "type", "--delay", "15", str(folder))
        self.keys("Return")
        time.sleep(2)
        self.run("xdotool", "mousemove", str(WIDTH // 2), str(HEIGHT // 2 + 80), "click", "1")
        time.sleep(0.3)

    def pixels(self):
        """What is on the screen."""
        return subprocess.run(["import", "-window", "root", "-depth", "8", "rgb:-"],
                              env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=SLOW, check=True).stdout

    def settled(self):
        """The same, once it does not change for a second."""
        last = None
        while (now := self.pixels()) != last:
            last = now
            time.sleep(1)
        return now

    def shot(self, name):
        self.run("import", "-window", "root", str(self.shots / (name + ".png")))
