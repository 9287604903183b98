"""How long umount and SIGTERM take while the server says nothing any more."""
import os
import subprocess
from pathlib import Path

from . import servers
from .ending import MOST, seconds_to_end
from .mount import Mount, wait_for
from .others import Other
from .proxy import Proxy


def idles(mount, proxy):
    assert wait_for(lambda: proxy.heard.endswith(b" IDLE\r\n"))
    proxy.stall()


def is_listing(mount, proxy):
    """Somebody wants a folder, and gave up before the mount ended."""
    proxy.stall()
    subprocess.run(["timeout", "-s", "INT", "1", "ls", mount.path / "Archive"],
                   capture_output=True)


def has_changes(mount, proxy):
    os.listdir(mount.path / "Archive")
    proxy.stall()
    name = next(n for n in os.listdir(mount.path / "INBOX") if n.endswith(".eml"))
    os.rename(mount.path / "INBOX" / name, mount.path / "Archive" / name)


STATES = {"idle": idles, "a list asked for": is_listing, "a change unsent": has_changes}


def ended(folder, server, proxy, state, how):
    """Seconds that it took."""
    mount = Mount(folder, server, user="ends", port=proxy.port, tls="none",
                  options=["timeout=600"])
    with mount:
        os.listdir(mount.path / "INBOX")
        state(mount, proxy)
        return seconds_to_end(mount, how)


def bench(folder, letter, row):
    with servers.Dovecot() as server:
        server.add_user("ends")
        with Other(server, "ends") as other:
            other.create("Archive")
            for number in range(6):
                other.deliver("INBOX", letter(number + 1))
        for number, (what, state) in enumerate(STATES.items()):
            for how in ("umount", "SIGTERM"):
                with Proxy(server.imap_port) as proxy:
                    took = ended(Path(folder) / ("%d-%s" % (number, how)), server, proxy, state, how)
                row("silent server, %s: %s" % (what, how), took,
                    note="until nothing is left (at most %d)" % MOST)
                assert took <= MOST, "%s: %.2f s" % (how, took)
