"""How long a mount takes to end."""
import os
import signal
import subprocess
import time

from .mount import mounted, wait_for

HANG = 60
MOST = 2  # seconds that the program promises, whatever the network does


def seconds_to_end(mount, how):
    """Ends it, by umount or by a signal, until no process of it is left."""
    started = time.monotonic()
    if how == "umount":
        done = subprocess.run(["umount", mount.path] if not os.getuid()
                              else ["fusermount3", "-u", mount.path], capture_output=True,
                              timeout=HANG)
        assert done.returncode == 0, done.stderr
    else:
        worker = mount.worker()
        for pid in mount.processes():
            if pid != worker:
                os.kill(pid, signal.SIGTERM)
    assert wait_for(lambda: not mounted(mount.path) and not mount.processes(), HANG, 0.01)
    return time.monotonic() - started
