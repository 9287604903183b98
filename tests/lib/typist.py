"""Whoever starts the program at a terminal, and types when it asks."""
import os
import pty
import select
import signal
import termios
import time

from .mount import BINARY, SLOW, wait_for


class Typist:
    """The program on a terminal of its own."""

    def __init__(self, mount):
        self.shown = b""
        self.pid, self.tty = pty.fork()
        if self.pid == 0:
            os.execve(BINARY, mount.command, mount.environment)

    def expect(self, text):
        assert wait_for(lambda: text in self.look(), SLOW), self.shown

    def look(self):
        while select.select([self.tty], [], [], 0.05)[0]:
            try:
                self.shown += os.read(self.tty, 4096)
            except OSError:
                break
        return self.shown

    def type(self, text):
        os.write(self.tty, text)

    def echoes(self):
        return bool(termios.tcgetattr(self.tty)[3] & termios.ECHO)

    def end(self):
        """The exit status as a shell has it."""
        until = time.monotonic() + SLOW
        while not (done := os.waitpid(self.pid, os.WNOHANG))[0]:
            self.look()
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
        self.look()
        return os.waitstatus_to_exitcode(done[1])
