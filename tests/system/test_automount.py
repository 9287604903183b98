"""An automount point of root's, on which root mounts for a user: with the kernel's own autofs, in a
private mount namespace. Root only."""
import os
import subprocess
import sys

import pytest

from lib import scripted
from lib.mount import APART, BINARY

NOBODY = 65534

# Mounts autofs on the first argument, for a process group of its own that it does not hold up, and
# runs the rest in there.
AUTOFS = """
import ctypes, os, subprocess, sys
os.setpgid(0, 0)
_, pipe = os.pipe()
data = "fd=%d,pgrp=%d,minproto=5,maxproto=5,direct" % (pipe, os.getpgid(0))
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"test", os.fsencode(sys.argv[1]), b"autofs", 0, data.encode()):
    sys.exit("autofs: " + os.strerror(ctypes.get_errno()))
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""

# What is mounted at the end goes, by whatever name.
STEPS = """
%(binary)s work %(point)s -o setuid=nobody,config=%(home)s/mailmount.conf
echo status $?
for made in $(awk '$(NF-2) == "fuse.mailmount" {print $5}' /proc/self/mountinfo | grep ^%(top)s); do
    echo mounted "$made"
    setpriv --reuid=nobody --regid=nogroup --clear-groups ls "$made/INBOX"
    umount "$made"
done
"""


@pytest.fixture
def home(folder):
    """A folder of nobody's, in which root has made below/Mail an automount point."""
    if os.getuid():
        pytest.skip("only root mounts for others")
    folder.chmod(0o755)
    path = folder / "home"
    (path / "below/Mail").mkdir(parents=True)
    for each in (path, path / "below"):
        os.chown(each, NOBODY, -1)
    return path


def mount(home, server, script):
    """Root mounts for the user, whose password_command runs `script`. What was printed."""
    (home / "secret").write_text("#!/bin/sh\ncd %s\n%s\necho secret\n" % (home, script))
    (home / "secret").chmod(0o755)
    config = home / "mailmount.conf"
    config.write_text("[work]\nsource = imap://alice@127.0.0.1:%d\ntls = none\n"
                      "password_command = %s/secret\ncache_dir = %s/cache\nstate_dir = %s/state\n"
                      % (server.port, home, home, home))
    os.chown(config, NOBODY, -1)
    point = home / "below/Mail"
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", APART + 'exec "$0" "$@"',
         sys.executable, "-c", AUTOFS, str(point), "sh", "-c",
         STEPS % {"binary": BINARY, "point": point, "home": home, "top": home.parent}],
        capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout + done.stderr


def test_root_mounts_there_for_a_user(home, messages):
    with scripted.Scripted({"INBOX": messages[:2]}) as server:
        said = mount(home, server, "id -un >ran-as")
    assert "status 0" in said and "mounted %s/below/Mail\n" % home in said, said
    assert said.count(".eml") == 2, said
    assert (home / "ran-as").read_text().strip() == "nobody"


def test_the_user_cannot_have_root_mount_elsewhere(home, folder, messages):
    """While root waits for the password, the path is made to lead to what is not the user's."""
    (folder / "precious").mkdir()
    with scripted.Scripted({"INBOX": messages[:2]}) as server:
        said = mount(home, server, "mv below old && mkdir below && ln -s ../../precious below/Mail"
                                   " && echo >swapped")
    assert (home / "swapped").exists(), said
    assert "precious" not in said and "mounted %s/old/Mail" % home in said, said
