"""The Debian package on a clean Debian 12 whose systemd is booted: the unit, the journal, fstab and
automount; and nothing is left when it is removed. The tests build on each other. Root only, and
ten minutes long: a person sets MAILMOUNT_TEST_PACKAGE; if that names a folder, what tests/package
built there is taken."""
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.machine import Machine
from lib.mount import TOP, wait_for

STATUS = "systemctl --user show --value -p "
UNMOUNTED = "! grep -q ' /home/alice/Mail/home ' /proc/self/mountinfo"


@pytest.fixture(scope="module")
def place():
    folder = Path(tempfile.mkdtemp(prefix="mailmount-machine-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def package(place):
    built = Path(os.environ["MAILMOUNT_TEST_PACKAGE"])
    if not built.is_dir():
        built = place / "package"
        done = subprocess.run([TOP / "tests/package", built], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    return next(built.glob("mailmount_*.deb"))


def test_lintian(package):
    changes = next(package.parent.glob("*.changes"))
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning",
                           "--suppress-tags", "initial-upload-closes-no-bugs", changes],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def depends(package):
    """The names in its Depends and Recommends."""
    words = [subprocess.run(["dpkg-deb", "-f", package, field], capture_output=True, text=True,
                            check=True).stdout for field in ("Depends", "Recommends")]
    return re.findall(r"(?:^|, )([a-z0-9.+-]+)", ", ".join(words))


@pytest.fixture(scope="module")
def machine(place, package, dovecot):
    """With alice, whose account is on `dovecot`, and what the package depends on."""
    with Machine(place) as machine:
        machine.run("apt-get update -qq; apt-get install -y -qq --no-install-recommends %s"
                    % " ".join(depends(package)))
        machine.run("useradd -m -s /bin/sh alice; mkdir -p /var/lib/systemd/linger; "
                    "touch /var/lib/systemd/linger/alice; mkdir /home/alice/Auto /home/alice/Tab")
        home = machine.root / "home/alice"
        shutil.copy(dovecot.ca, home / "ca.pem")
        (home / "password").write_text("secret\n")
        (home / "password").chmod(0o600)
        (home / ".config/mailmount").mkdir(parents=True)
        source = "source = imaps://alice@localhost:%d\ntls_ca = ~/ca.pem\n" % dovecot.imaps_port
        (home / ".config/mailmount/mailmount.conf").write_text(
            "[home]\n%spassword_file = ~/password\n"
            "[elsewhere]\n%smountpoint = ~/Elsewhere\npassword_command = cat ~/password\n"
            "cache_dir = ~/cache\nstate_dir = ~/state\n"
            "[trusted]\n%scache_dir = ~/cache3\nstate_dir = ~/state3\n"
            "[wrong]\n%spassword_command = echo wrong\ncache_dir = ~/cache2\n"
            % (source, source, source, source))
        machine.run("chown -R alice:alice /home/alice; chmod 755 /home/alice; touch /etc/fstab")
        machine.before = machine.files()
        yield machine


def test_install(machine, package):
    shutil.copy(package, machine.root / "tmp/mailmount.deb")
    machine.run("apt-get install -y -qq /tmp/mailmount.deb; rm /tmp/mailmount.deb")
    assert machine.run("mailmount --version").stdout.startswith("mailmount ")
    machine.boot()
    machine.run("until [ -S /run/user/$(id -u alice)/bus ]; do sleep 0.1; done")


def test_by_hand(machine, dovecot_sample, messages):
    """An ordinary user mounts, reads, unmounts."""
    machine.run("mailmount home", user="alice")
    read = machine.run("cat ~/Mail/home/INBOX/*Quarterly*].eml | sha256sum", user="alice").stdout
    assert read.split()[0] == hashlib.sha256(messages[0].raw).hexdigest()
    machine.run("fusermount3 -u ~/Mail/home", user="alice")


def test_unit(machine):
    """Ready when it can be used; says where; stopping it unmounts though it is in use."""
    machine.run("systemctl --user start mailmount@home; ls ~/Mail/home/INBOX", user="alice")
    said = machine.run(STATUS + "StatusText mailmount@home", user="alice").stdout
    assert said == "Mounted at /home/alice/Mail/home\n"
    machine.run("sleep 60 <~/Mail/home/INBOX & systemctl --user stop mailmount@home; kill $!; "
                + UNMOUNTED, user="alice")
    assert machine.run(STATUS + "Result -p ExecMainStatus mailmount@home",
                       user="alice").stdout.split() == ["success", "0"]
    machine.run("systemctl --user enable --now mailmount@elsewhere; ls ~/Elsewhere/INBOX; "
                "systemctl --user disable --now mailmount@elsewhere", user="alice")


def test_credential(machine):
    """The password by systemd; the unit starts without one, too."""
    machine.run("d=~/.config/systemd/user/mailmount@trusted.service.d; mkdir -p $d; "
                "echo '[Service]\nLoadCredential=mailmount.trusted:%h/password' >$d/x.conf; "
                "systemctl --user daemon-reload; systemctl --user start mailmount@trusted; "
                "ls ~/Mail/trusted/INBOX; systemctl --user stop mailmount@trusted; "
                "rm -r ~/.config/systemd", user="alice")


def test_restarts(machine):
    """After a kill, without a dead mount between; not after a refused sign-in or a mistake."""
    machine.run("mkdir -p ~/.config/systemd/user/mailmount@home.service.d; "
                "echo '[Service]\nRestartSec=1' >~/.config/systemd/user/mailmount@home.service.d/x"
                ".conf; systemctl --user daemon-reload; systemctl --user start mailmount@home",
                user="alice")
    machine.run("systemctl --user kill --kill-whom=main -s KILL mailmount@home", user="alice")
    assert wait_for(lambda: machine.run(STATUS + "NRestarts mailmount@home", user="alice").stdout
                    == "1\n", pause=0.5)
    assert wait_for(lambda: machine.run("ls ~/Mail/home/INBOX", user="alice",
                                        check=False).returncode == 0, pause=0.5)
    machine.run("systemctl --user stop mailmount@home; rm -r ~/.config/systemd; "
                "systemctl --user daemon-reload", user="alice")
    for name, status in (("wrong", "4"), ("nobody", "2")):
        machine.run("! systemctl --user start mailmount@" + name, user="alice")
        assert machine.run(STATUS + "ExecMainStatus -p SubState mailmount@" + name,
                           user="alice").stdout.split() == [status, "failed"]


def test_journal(machine):
    """Lines of the log have their levels, and no name twice."""
    lines = [json.loads(line) for line in machine.run(
        "journalctl -o json --no-pager _SYSTEMD_USER_UNIT=mailmount@wrong.service").stdout
        .splitlines()]
    said = [line for line in lines if "refused to sign in" in line["MESSAGE"]]
    assert said and said[-1]["PRIORITY"] == "3" and said[-1]["SYSLOG_IDENTIFIER"] == "mailmount"
    assert not said[-1]["MESSAGE"].startswith(("mailmount", "<"))


def test_security(machine):
    """What systemd thinks of the unit: a person reads it, with pytest -s."""
    done = machine.run("systemd-analyze --user --man=no verify "
                       "/usr/lib/systemd/user/mailmount@.service; "
                       "systemd-analyze --user security --no-pager mailmount@home.service",
                       user="alice")
    assert not done.stderr, done.stderr
    print(done.stdout)


def test_fstab(machine, dovecot_sample):
    """mount(8) as root for a user, whom the unit's and the command's words lead to her home."""
    (machine.root / "etc/fstab").write_text(
        "home /home/alice/Tab fuse.mailmount setuid=alice,noauto,_netdev 0 0\n"
        "elsewhere /home/alice/Auto fuse.mailmount setuid=alice,_netdev,noexec,"
        "x-systemd.automount,x-systemd.idle-timeout=3 0 0\n")
    machine.run("systemctl daemon-reload; mount /home/alice/Tab")
    machine.run("ls ~/Tab/INBOX", user="alice")
    machine.run("systemctl stop home-alice-Tab.mount; ! grep -q Tab /proc/self/mountinfo")


def test_automount(machine, dovecot_sample):
    """Mounted when alice looks, unmounted when nobody does, and mounted again."""
    machine.run("systemctl start home-alice-Auto.automount")
    for _ in range(2):
        assert "INBOX" in machine.run("ls ~/Auto", user="alice").stdout
        shown = machine.run("findmnt -n -t fuse.mailmount -o SOURCE,OPTIONS").stdout
        assert shown.split()[0] == "elsewhere" and "user_id=1000" in shown
        assert {"nosuid", "nodev", "noexec"} <= set(shown.split()[1].split(","))
        machine.run("! ls /home/alice/Auto/INBOX", check=True)  # root may not
        # findmnt(8) looks at the place and so keeps it in use
        assert wait_for(lambda: machine.run("! grep fuse.mailmount /proc/self/mountinfo",
                                            check=False).returncode == 0, pause=0.5)
    # what fails says so, and can be tried again
    machine.run("mv ~/password ~/hidden; ! ls ~/Auto/INBOX; mv ~/hidden ~/password; "
                "ls ~/Auto/INBOX", user="alice")
    machine.run("systemctl stop home-alice-Auto.automount home-alice-Auto.mount")


def test_removal(machine):
    """Nothing of it stays but what is alice's own."""
    machine.halt()
    (machine.root / "etc/fstab").write_text("")
    machine.run("apt-get purge -y -qq mailmount")
    left = {name for name in machine.files() - machine.before
            if not name.startswith(("/home/alice/", "/var/spool/", "/etc/machine-id"))}
    assert not left, left
    assert not [n for n in machine.files() if "mailmount" in n and not n.startswith("/home/")]
