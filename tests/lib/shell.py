"""A shell at a terminal of its own, into which completion is typed.

    with Shell("bash", script, home) as shell:
        assert shell.completed("mailmount -o tls=im") == ["-o", "tls=implicit"]
"""
import os
import pty
import select
import subprocess
import time

from .mount import SLOW

START = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
LOAD = {
    "bash": ". '%s'; mailmount() { printf '<%%s>' \"$@\"; echo '<<''END>>'; }; PS1=\n",
    "zsh": "PROMPT=; fpath=('%s' $fpath); autoload -Uz compinit; compinit -u -D; "
           "zstyle ':completion:*' menu no; unsetopt auto_menu auto_remove_slash; "
           "mailmount() { printf '<%%s>' \"$@\"; echo '<<''END>>'; }\n",
}


class Shell:
    """`script`: what is sourced; for zsh the folder that it is in."""

    def __init__(self, name, script, home):
        self.name, self.script, self.home = name, script, home

    def __enter__(self):
        self.terminal, inner = pty.openpty()
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TERM": "dumb",
                       "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(START[self.name], stdin=inner, stdout=inner, stderr=inner,
                                        env=environment, cwd=self.home, start_new_session=True)
        os.close(inner)
        self.type(LOAD[self.name] % self.script + "mailmount\n")
        self.answer()
        return self

    def __exit__(self, *exception):
        os.close(self.terminal)
        self.process.kill()
        self.process.wait()

    def type(self, text):
        os.write(self.terminal, text.encode())

    def answer(self):
        """What was printed before the mark."""
        seen, deadline = b"", time.monotonic() + SLOW
        while b"<<END>>" not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([self.terminal], [], [], 1)[0]:
                seen += os.read(self.terminal, 65536)
        return seen.decode().replace("\r", "")

    def completed(self, line):
        """The words that the command gets when the line is typed, completed and entered."""
        self.type(line + "\t\n")
        last = self.answer().rpartition("<<END>>")[0].splitlines()[-1]
        return last[last.index("<") + 1:-1].split("><")
