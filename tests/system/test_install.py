"""Installed, and mounted as mount(8) does it: by command and by fstab, in a private mount namespace
in which /usr/local is what was installed. Root only."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.mount import APART, BINARY, SLOW, TOP, wait_for

PAGES = ("man1/mailmount.1", "man5/mailmount.conf.5", "man7/mailmount-tree.7")
HELPERS = ("mount.mailmount", "mount.fuse.mailmount")
UNIT = "lib/systemd/user/mailmount@.service"
# made by the build that made the program, as it is: where in share/, and its name there
COMPLETIONS = {"mailmount": "bash-completion/completions", "_mailmount": "zsh/site-functions",
               "mailmount.fish": "fish/vendor_completions.d"}


def install(build, *options, destdir=None):
    """What `meson install` installs; the program is the one under test."""
    environment = {k: v for k, v in os.environ.items() if k != "DESTDIR"}
    if destdir:
        environment["DESTDIR"] = str(destdir)
    for command in (["setup", *options, build, TOP], ["install", "-C", build, "--no-rebuild"]):
        if command[0] == "install":
            shutil.copy(BINARY, build / "mailmount")
            for name in COMPLETIONS:
                shutil.copy(BINARY.parent / "dist" / name, build / "dist")
        done = subprocess.run(["meson", *map(str, command)], env=environment, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr


def check_installed(top, prefix):
    """All files of a prefix below `top`, and nothing else."""
    files = {"bin/mailmount", "share/doc/mailmount/LICENSE", "share/doc/mailmount/README.md",
             *("sbin/" + name for name in HELPERS), *("share/man/" + page for page in PAGES),
             UNIT, *("share/%s/%s" % (place, name) for name, place in COMPLETIONS.items())}
    found = {str(p.relative_to(top)) for p in top.rglob("*") if p.is_symlink() or not p.is_dir()}
    assert found == files
    for name in HELPERS:
        assert os.readlink(top / "sbin" / name) == prefix + "/bin/mailmount"
    assert os.access(top / "bin/mailmount", os.X_OK)
    for page in PAGES:
        assert (top / "share/man" / page).read_bytes() == (
            TOP / "man" / os.path.basename(page)).read_bytes()
    assert (top / "share/doc/mailmount/LICENSE").read_bytes() == (TOP / "LICENSE").read_bytes()
    assert "\nExecStart=%s/bin/mailmount -f -- %%i\n" % prefix in (top / UNIT).read_text()


@pytest.fixture(scope="module")
def packed():
    """Where /usr/local is after an installation with DESTDIR."""
    folder = Path(tempfile.mkdtemp(prefix="mailmount-packed-"))
    folder.chmod(0o755)
    install(folder / "build", destdir=folder / "root")
    yield folder / "root/usr/local"
    shutil.rmtree(folder)


def test_with_a_destdir(packed):
    check_installed(packed, "/usr/local")


def test_with_a_prefix(folder):
    install(folder / "build", "--prefix=%s" % (folder / "here"))
    check_installed(folder / "here", str(folder / "here"))
    done = subprocess.run([folder / "here/bin/mailmount", "--version"], capture_output=True)
    assert done.returncode == 0 and done.stdout.startswith(b"mailmount ")
    unit = folder / "mailmount@work.service"
    shutil.copy(folder / "here" / UNIT, unit)
    done = subprocess.run(["systemd-analyze", "--user", "--man=no", "verify", unit],
                          capture_output=True, text=True, env={
                              **os.environ, "XDG_RUNTIME_DIR": str(folder)})
    assert done.returncode == 0 and not done.stderr, done.stderr


# ---- mount(8)

# $PACKED as /usr/local; then the test's own script, and nothing stays mounted after it
NAMESPACE = """
set -e
mount --bind "$PACKED" /usr/local
trap 'umount "$DIR" 2>/dev/null || :' EXIT
set +e
"""

# mount.mailmount and mount.fuse.mailmount in /usr/sbin, as --prefix=/usr has them
HELPERS_TOO = """
mkdir "$FOLDER/sbin" "$FOLDER/old"
mount --bind /usr/sbin "$FOLDER/old"
ln -s "$FOLDER"/old/* "$PACKED"/sbin/* "$FOLDER/sbin"
mount --bind "$FOLDER/sbin" /usr/sbin
"""

READ = """
echo "status $?"
findmnt -n -o FSTYPE,SOURCE,OPTIONS "$DIR"
cat "$DIR"/INBOX/*Quarterly*].eml
umount "$DIR"
echo "status $?"
"""


class System:
    """A machine with the program installed. `options`: what the account needs, for -o."""

    def __init__(self, mount, packed):
        self.mount = mount
        self.environment = {**mount.environment, "PACKED": str(packed), "DIR": str(mount.path),
                            "FOLDER": str(mount.folder), "SOURCE": mount.source}
        self.options = ",".join(a.replace("\\", "\\\\").replace(",", "\\,")
                                for a in mount.arguments if a != "-o")

    def run(self, script, **environment):
        done = subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-c",
                               APART + NAMESPACE + script], stdin=subprocess.DEVNULL, capture_output=True,
                              env={**self.environment, "OPTIONS": self.options, **environment},
                              timeout=SLOW)
        assert wait_for(lambda: not self.mount.processes()), self.mount.processes()
        assert not self.mount.report(), self.mount.report()
        return done

    def reads(self, script, message, **environment):
        """It must mount, show the message, and be gone after umount. Returns findmnt's words."""
        done = self.run(script + READ, **environment)
        start, _, rest = done.stdout.partition(b"\n")
        assert start == b"status 0", done.stdout[-300:] + done.stderr
        words, _, rest = rest.partition(b"\n")
        assert rest == message.raw + b"status 0\n", rest[-300:] + done.stderr
        return words.decode().split()


@pytest.fixture
def system(dovecot_sample, mounts, packed):
    return System(mounts(dovecot_sample, start=False), packed)


@pytest.mark.parametrize("prepare,type_", [
    ("", "fuse.mailmount"), (HELPERS_TOO, "fuse.mailmount"), (HELPERS_TOO, "mailmount"),
], ids=["through mount.fuse3", "by its own helper", "by its own type"])
def test_mount(system, messages, prepare, type_):
    words = system.reads(prepare + 'mount -t "$TYPE" -o "$OPTIONS" "$SOURCE" "$DIR"', messages[0],
                         TYPE=type_)
    assert words[:2] == ["fuse.mailmount", system.mount.source]
    assert {"nosuid", "nodev", "rw"} <= set(words[2].split(","))


# fstab's words for other programs; none may be taken for one of ours
FSTAB = "noauto,user,_netdev,nofail,x-systemd.automount,x-systemd.idle-timeout=60,comment=mail"


def line(source, path, options):
    """One of fstab(5), where a space is an octal number and a backslash before digits would be."""
    return "%s %s fuse.mailmount %s 0 0\n" % tuple(
        str(word).replace(" ", "\\040") for word in (source, path, options))


@pytest.mark.parametrize("prepare", ["", HELPERS_TOO], ids=["through mount.fuse3", "by its own"])
def test_fstab(system, messages, folder, prepare):
    (folder / "fstab").write_text(line(system.mount.source, system.mount.path,
                                       FSTAB + "," + system.options))
    words = system.reads(prepare + 'mount -T "$FSTAB" "$DIR"', messages[0],
                         FSTAB=str(folder / "fstab"))
    assert words[:2] == ["fuse.mailmount", system.mount.source]
    assert {"nosuid", "nodev", "rw", "noexec"} <= set(words[2].split(","))  # what user implies


@pytest.mark.parametrize("prepare", ["", HELPERS_TOO], ids=["through mount.fuse3", "by its own"])
@pytest.mark.parametrize("how", ["command", "fstab"])
def test_commas_in_values(system, messages, folder, prepare, how):
    """Written \\, for mount(8) too."""
    secret = "password_command=echo 'no\\, thank you\\,secret' | cut -d\\, -f3"
    system.options = ",".join(
        secret if o.startswith("password_command=") else o for o in system.options.split(","))
    assert "cut" in system.options
    (folder / "fstab").write_text(line(system.mount.source, system.mount.path,
                                       "noauto," + system.options))
    script = {"command": 'mount -t fuse.mailmount -o "$OPTIONS" "$SOURCE" "$DIR"',
              "fstab": 'mount -T "$FSTAB" "$DIR"'}[how]
    system.reads(prepare + script, messages[0], FSTAB=str(folder / "fstab"))


@pytest.mark.parametrize("prepare,status", [("", 4), (HELPERS_TOO, 32)],
                         ids=["through mount.fuse3", "by its own"])
@pytest.mark.parametrize("how", ["command", "fstab"])
def test_a_wrong_password(system, folder, prepare, status, how):
    system.mount.secret.write_text("wrong\n")
    (folder / "fstab").write_text(line(system.mount.source, system.mount.path,
                                       FSTAB + "," + system.options))
    script = {"command": 'mount -t fuse.mailmount -o "$OPTIONS" "$SOURCE" "$DIR"',
              "fstab": 'mount -T "$FSTAB" "$DIR"'}[how]
    done = system.run(prepare + script + '\necho "$?"; findmnt "$DIR"',
                      FSTAB=str(folder / "fstab"))
    assert done.stdout == b"%d\n" % status, done.stdout + done.stderr
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("mailmount: "), lines
    assert "refused to sign in alice" in lines[0]


# alice, who has a home, a configuration and the permission to open /dev/fuse
HOME = """
printf 'alice:x:65534:65534::%s:/bin/sh\\n' "$ALICE" | cat /etc/passwd - >"$FOLDER/passwd"
sed -i '/^nobody:/d' "$FOLDER/passwd"
chmod 644 "$FOLDER/passwd"
mount --bind "$FOLDER/passwd" /etc/passwd
mknod -m 666 "$FOLDER/fuse" c 10 229
mount --bind "$FOLDER/fuse" /dev/fuse
mount --bind "$FSTAB" /etc/fstab
chown -R alice "$ALICE"
"""


@pytest.fixture
def alice(system, folder):
    """system, where the mount point and a configuration are in alice's home."""
    folder.chmod(0o755)
    home = folder / "home"
    (home / ".config/mailmount").mkdir(parents=True)
    mount = system.mount
    shutil.copy(mount.secret, home / "password")
    shutil.copytree(os.path.dirname(next(a[7:] for a in mount.arguments if "tls_ca=" in a)),
                    home / "tls")
    (home / ".config/mailmount/mailmount.conf").write_text(
        "[work]\nsource = %s\ntls_ca = ~/tls/ca.pem\npassword_command = cat %s/password\n"
        % (mount.source, home))
    mount.path = home / "Mail"
    mount.path.mkdir()
    mount.reports.chmod(0o777)
    system.environment.update(DIR=str(mount.path), ALICE=str(home), FSTAB=str(folder / "fstab"))
    return system


AS_ALICE = "setpriv --reuid=alice --regid=65534 --clear-groups env HOME=$ALICE "


@pytest.mark.parametrize("prepare", ["", HELPERS_TOO], ids=["through mount.fuse3", "by its own"])
@pytest.mark.parametrize("who", ["root", "alice"])
def test_fstab_for_a_user(alice, messages, folder, prepare, who):
    """Root mounts for alice, as the README's line says; or alice herself, who may as a "user"."""
    options = {"root": "setuid=alice,noauto,_netdev", "alice": FSTAB}[who]
    (folder / "fstab").write_text(line("work", alice.mount.path, options))
    mounter = {"root": "", "alice": AS_ALICE}[who]
    done = alice.run(prepare + HOME + mounter + 'mount "$DIR"; echo "status $?"\n'
                     "findmnt -n -o FSTYPE,SOURCE,OPTIONS \"$DIR\"\n"
                     "%s sh -c 'cat \"$DIR\"/INBOX/*Quarterly*].eml'\n" % AS_ALICE
                     + mounter + 'umount "$DIR"; echo "status $?"')
    start, words, rest = done.stdout.split(b"\n", 2)
    assert start == b"status 0" and rest == messages[0].raw + b"status 0\n", (
        done.stdout[-500:] + done.stderr)
    assert words.split()[:2] == [b"fuse.mailmount", b"work"]
    assert b"user_id=65534" in words
