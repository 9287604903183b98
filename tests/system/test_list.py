"""mailmount --list: accounts, where they are mounted, and how they are."""
import os
import signal
import subprocess

import pytest

from lib import servers
from lib.mount import BINARY, SLOW, wait_for


def listed(mount, *arguments, status=0):
    """({name: (server, user, where, state)}, what was said on standard error)."""
    done = subprocess.run([BINARY, *arguments, "--list"], env=mount.environment,
                          capture_output=True, text=True, timeout=SLOW)
    assert done.returncode == status, done.stderr
    lines = done.stdout.splitlines()
    if not lines:
        return {}, done.stderr
    starts = [lines[0].index(w) for w in ("ACCOUNT", "SERVER", "USER", "MOUNTED", "STATE")]
    cells = [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], None])] for line in lines]
    own = {c[0]: tuple(c[1:]) for c in cells[1:] if str(mount.folder.parent) in c[3]
           or c[3] == "-"}
    return own, done.stderr


def test_no_configuration(mounts):
    found, said = listed(mounts(start=False, source="none"))
    assert not [row for row in found.values() if row[2] == "-"]
    assert "there is no configuration" in said and len(said.splitlines()) == 1


def test_a_mount_without_a_configuration(dovecot, mounts):
    mount = mounts(dovecot)
    found, _ = listed(mount)
    assert found == {"alice@localhost": ("imaps://localhost:%d" % dovecot.imaps_port, "alice",
                                         str(mount.path), "online")}


def test_accounts(dovecot, mounts, folder):
    file = folder / "mailmount.conf"
    well = "imaps://%%s@localhost:%d" % dovecot.imaps_port
    file.write_text("[gr\u00fcn]\nsource = %s\ntls_ca = %s\npassword_command = echo secret\n"
                    "[off]\nsource = imaps://x@localhost:%d\npassword_command = echo secret\n"
                    "[later]\nsource = carol@example.org\nuser = c\n"
                    % (well % "alice", dovecot.ca, servers.free_port()))
    file.chmod(0o600)
    mount = mounts(start=False, source="gr\u00fcn,off")
    mount.arguments = ["-o", "config=%s" % file]
    server = "imaps://localhost:%d" % dovecot.imaps_port
    found, said = listed(mount, *mount.arguments)
    assert list(found) == ["gr\u00fcn", "off", "later"] and said == ""
    assert found["gr\u00fcn"] == (server, "alice", "-", "not mounted")
    assert found["later"] == ("carol@example.org", "c", "-", "not mounted")
    with mount:
        found, _ = listed(mount, *mount.arguments)
        assert found["gr\u00fcn"] == (server, "alice", "%s/gr\u00fcn" % mount.path, "online")
        assert found["off"][2] == "%s/off" % mount.path and "offline" in found["off"][3]
        assert found["later"][2:] == ("-", "not mounted")
    found, _ = listed(mount, *mount.arguments)
    assert found["gr\u00fcn"] == (server, "alice", "-", "not mounted")


def test_a_mount_that_hangs(dovecot, mounts):
    mount = mounts(dovecot)
    worker = mount.worker()
    os.kill(worker, signal.SIGSTOP)
    try:
        found, _ = listed(mount)
    finally:
        os.kill(worker, signal.SIGCONT)
    assert [row[3].split(";")[0] for row in found.values()] == ["does not answer"]
    assert wait_for(lambda: listed(mount)[0]["alice@localhost"][3] == "online")


@pytest.mark.parametrize("source", ["all", "gr\u00fcn,off", "gr\u00fcn"])
def test_accounts_of_a_mount_that_hangs(dovecot, mounts, folder, source):
    """It cannot be asked which it shows: what it was mounted with tells."""
    file = folder / "mailmount.conf"
    file.write_text("[gr\u00fcn]\nsource = imaps://alice@localhost:%d\ntls_ca = %s\n"
                    "password_command = echo secret\n"
                    "[off]\nsource = imaps://x@localhost:%d\npassword_command = echo secret\n"
                    "[bad]\nsource = imaps://b@h\nview = sideways\n"
                    % (dovecot.imaps_port, dovecot.ca, servers.free_port()))
    file.chmod(0o600)
    mount = mounts(start=False, source=source)
    mount.arguments = ["-o", "config=%s" % file]
    mount.run()  # not with status 0, where one of them is bad
    worker = mount.worker()
    os.kill(worker, signal.SIGSTOP)
    try:
        found, _ = listed(mount, *mount.arguments)
    finally:
        os.kill(worker, signal.SIGCONT)
    mount.unmount()
    alone = source == "gr\u00fcn"
    where = {name: row[2:] for name, row in found.items()}
    silent = "does not answer; see mailmount(1) for unmounting it"
    one, other = ("", "") if alone else ("/gr\u00fcn", "/off")
    assert where["gr\u00fcn"] == (str(mount.path) + one, silent)
    assert where["off"] == (("-", "not mounted") if alone else (str(mount.path) + other, silent))
    assert where["bad"][0] == "-" and "[bad]" in where["bad"][1]
    assert len(found) == 3


def test_a_bad_configuration(mounts, folder):
    file = folder / "mailmount.conf"
    file.write_text("[good]\nsource = imaps://a@h\n[bad]\nsource = imaps://b@h\nview = sideways\n")
    file.chmod(0o600)
    found, said = listed(mounts(start=False, source="none"), "-o", "config=%s" % file)
    assert found["good"][3] == "not mounted" and said == ""
    assert "[bad]" in found["bad"][3] and "view" in found["bad"][3]


def test_usage(mounts):
    for more in (["a"], ["--check", "a"], ["--prefetch", "x"]):
        done = subprocess.run([BINARY, "--list", *more], capture_output=True, text=True)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), more
