"""Starting the program to see how it signs in, or does not."""
import os
import re

from .mount import mounted, wait_for
from .servers import PASSWORD

NETWORK, LOGIN = 3, 4


def works(mount, arguments=("-d",)):
    """Starts and ends it; returns the mechanisms that it used, in the order of the transcript."""
    done = mount.start_in_foreground(arguments)
    assert done.returncode == 0 and mounted(mount.path), done.stderr
    assert os.listdir(mount.folder_of("INBOX")) is not None
    mount.unmount()
    return used(mount.log.read_text())


def used(log):
    return re.findall(r"AUTHENTICATE ([\w-]+)", log) or re.findall(r" (LOGIN) ", log)


def told(mount, statuses=(LOGIN,)):
    """The line with which it ends, as it must for a refused sign-in, with one of the statuses."""
    done = mount.run()
    lines = done.stderr.strip().splitlines()
    assert done.returncode in statuses, (done.returncode, done.stderr)
    assert len(lines) == 1 and lines[0].startswith("mailmount: "), done.stderr
    assert not mounted(mount.path)
    assert wait_for(lambda: not mount.processes()), mount.processes()
    return lines[0]


def refused(server, mount, secrets=(PASSWORD, "not the one")):
    """It must end so within one retry; returns the line."""
    before = len(server.refused())
    line = told(mount)
    assert wait_for(lambda: server.refused()[before:], 20), server.log()
    assert 1 <= sum(server.refused()[before:]) <= 2, server.refused()[before:]
    for secret in secrets:
        assert secret not in line
    return line
