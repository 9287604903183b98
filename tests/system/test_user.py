"""An ordinary user, who mounts with fusermount3: the tests once more, as nobody.

Root only (else all tests are an ordinary user's). What a usual Debian has and a bare one may not, a
/dev/fuse that all may open, is made in a private mount namespace.
"""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lib import servers
from lib.mount import APART, BINARY

TOP = Path(__file__).resolve().parents[2]

NAMESPACE = """
set -e
[ -e "$FOLDER/fuse" ] || mknod -m 666 "$FOLDER/fuse" c 10 229
mount --bind "$FOLDER/fuse" /dev/fuse
echo "$FUSE_CONF" >"$FOLDER/fuse.conf"
chmod 644 "$FOLDER/fuse.conf"
mount --bind "$FOLDER/fuse.conf" /etc/fuse.conf
mount --bind "$TOP" "$FOLDER/top"
mount --bind "$SERVERS" "$FOLDER/servers"
mount --bind "$(dirname "$BINARY")" "$FOLDER/bin"
cd "$FOLDER/top"
export MAILMOUNT_TEST_SERVERS="$FOLDER/servers" MAILMOUNT_TEST_BINARY="$FOLDER/bin/mailmount"
export HOME="$FOLDER/home"
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
"""


@pytest.fixture
def as_nobody(folder):
    """Runs a command as nobody, who may open /dev/fuse."""
    folder.chmod(0o755)
    for name in ("home", "top", "servers", "bin"):
        (folder / name).mkdir()
    (folder / "home").chmod(0o777)

    def run(*command, conf=""):
        environment = {**os.environ, "FOLDER": str(folder), "TOP": str(TOP), "FUSE_CONF": conf,
                       "SERVERS": str(servers.ROOT), "BINARY": str(BINARY)}
        return subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-c",
                               APART + NAMESPACE,
                               "sh", *command], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
    return run


@pytest.mark.parametrize("module,chosen", [
    ("test_tree.py", "dovecot and not several and not flaws"),
    ("test_manners.py", "unmount or worker or supervisor or dead or second or options or private "
                        "or core or injected"),
    ("test_start.py", "mount_point or configur or password"),
])
def test_as_an_ordinary_user(as_nobody, module, chosen):
    done = as_nobody(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k",
                     chosen, "tests/system/" + module, conf="user_allow_other")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout


ALLOW_OTHER = """
import sys
sys.path.insert(0, "tests")
from pathlib import Path
import tempfile
from lib import servers
from lib.mount import Mount
with servers.Dovecot() as server:
    mount = Mount(tempfile.mkdtemp(), server, options=["allow_other"])
    done = mount.run()
    print(done.returncode, done.stderr)
    if done.returncode == 0:
        mount.unmount()
"""


def test_allow_other_needs_the_administrators_word(as_nobody):
    refused = as_nobody(sys.executable, "-c", ALLOW_OTHER)
    assert refused.stdout.startswith("5 "), refused.stdout + refused.stderr
    assert "user_allow_other" in refused.stdout
    allowed = as_nobody(sys.executable, "-c", ALLOW_OTHER, conf="user_allow_other")
    assert allowed.stdout.startswith("0 "), allowed.stdout + allowed.stderr


def test_setuid_is_for_root(as_nobody):
    for user, status in [("root", 1), ("0", 1), ("nobody", 5), ("65534", 5)]:
        done = as_nobody("../bin/mailmount", "-o", "setuid=" + user, "imaps://alice@localhost",
                         "/nonexistent/mail")
        assert done.returncode == status, (user, done.stderr)
        assert ("setuid= is for root" in done.stderr) == (status == 1), done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
