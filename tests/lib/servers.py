"""Private Dovecot 2.3 and Cyrus 3.6 on free ports of the loopback, in a temporary folder.

The servers' packages are unpacked in build/servers (tests/install-packages server), so paths that
are compiled into them lead nowhere: settings name the right ones, and where there is no setting
(two paths in Dovecot's library) a copy of the library names a short link. Everything runs as
whoever calls; root's servers do their work as nobody.
"""
import grp
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from .client import Client
from .throwaway import Throwaway
from .tls import Authority

ROOT = Path(os.environ.get("MAILMOUNT_TEST_SERVERS")
            or Path(__file__).resolve().parents[2] / "build" / "servers")
PASSWORD = "secret"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def service_user():
    """(user, group) that the servers' processes run as."""
    uid = os.getuid()
    if uid == 0:
        return "nobody", "nogroup"
    return pwd.getpwuid(uid).pw_name, grp.getgrgid(os.getgid()).gr_name


def process_runs(pid):
    """Whether a process lives; one that only waits for its parent does not."""
    try:
        return Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def processes_below(root):
    """root and its descendants, by process id."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            children.setdefault(int(stat.read_text().rsplit(")", 1)[1].split()[1]), []).append(
                int(stat.parent.name))
        except OSError:
            continue
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


class Server(Throwaway):
    """What both servers are."""

    name = ""

    def __init__(self):
        super().__init__()
        self.imap_port = self.imaps_port = None
        self.authority = None
        self.certificate = None

    def make(self):
        self.authority = Authority(self.folder / "tls")
        self.certificate = self.authority.certificate("server")

    @property
    def ca(self):
        return self.authority.ca

    def start(self):
        self.imap_port, self.imaps_port = free_port(), free_port()
        self.configure()
        command, environment = self.command()
        with open(self.folder / "output", "ab") as output:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self.identity(), *command], env=environment,
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True)
        self.wait_ready()

    def stop(self):
        if not self.process:
            return
        pids = processes_below(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        deadline = time.monotonic() + 10
        for pid in pids[1:]:
            while process_runs(pid) and time.monotonic() < deadline:
                time.sleep(0.05)
            if process_runs(pid):
                os.kill(pid, signal.SIGKILL)
        self.process = None

    def wait_ready(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                Client(self.imap_port, user=None, timeout=30).close()
                return
            except Exception:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError("%s did not start:\n%s" % (self.name, self.log())) from None
                time.sleep(0.1)

    def log(self):
        return (self.folder / "output").read_text(errors="replace")[-4000:]

    def client(self, user="alice"):
        return Client(self.imap_port, user, PASSWORD)

    def configure(self):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def identity(self):
        """setpriv's words for whom it runs as. A process that changes its user later outlives us:
        that takes the signal at our death back."""
        return []

    def add_user(self, user):
        """Any name signs in after this, with PASSWORD and an INBOX."""

    def set_rights(self, user, mailbox, rights):
        """What `user` may do with a mailbox of his own (RFC 4314); with "a" among the rights they
        can be set again. On Dovecot only with `acl`."""
        with self.client(user) as client:
            client.command(b'SETACL "%s" %s %s' % (mailbox.encode(), user.encode(),
                                                   rights.encode()))

    def set_quota(self, user, kib):
        """How much mail `user` may have. On Dovecot only with `quota`, and for sign-ins from then
        on."""
        raise NotImplementedError


SPECIAL = ("Trash", "Sent", "Drafts")
DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/run
instance_name = {folder}
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
import_environment = TZ LD_LIBRARY_PATH={libraries}
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
last_valid_uid = 0
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
ssl_dh =
disable_plaintext_auth = no
login_trusted_networks = 127.0.0.0/8
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
auth_cache_size = 0
mail_fsync = never
mail_location = maildir:~/Maildir
mail_plugin_dir = {root}/usr/lib/dovecot/modules
mail_max_userip_connections = 0
mailbox_list_index = yes
maildir_very_dirty_syncs = {dirty}
mmap_disable = no
imap_idle_notify_interval = 29 mins
mail_plugins = {plugins}
protocol imap {{
  mail_plugins = {plugins} {imap_plugins}
}}
plugin {{
  quota = maildir:all
  quota_grace = 0
  quota_max_mail_size = {max_mail_size}
  acl = vfile
  acl_ignore_namespace = none
}}
{passdbs}{quota_users}userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = /
{special}}}
service imap-login {{
  service_count = 0
  client_limit = 1000
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 500
  client_limit = 1
}}
"""
DOVECOT_SPECIAL = """  mailbox {name} {{
    special_use = \\{name}
    auto = create
  }}
"""
DOVECOT_ANY_USER = """passdb {{
  driver = static
  args = password={password}
}}
"""
DOVECOT_QUOTAS = """userdb {{
  driver = passwd-file
  args = {folder}/quotas
}}
"""
# each service of Dovecot and its program, where it bears another name
DOVECOT_SERVICES = {
    "aggregator": "", "anvil": "", "auth": "", "auth-worker": "auth -w", "config": "", "dict": "",
    "dict-async": "dict", "director": "", "dns-client": "", "doveadm": "doveadm-server",
    "health-check": "script -p health-check.sh", "imap": "", "imap-hibernate": "",
    "imap-login": "", "imap-urlauth": "", "imap-urlauth-login": "", "imap-urlauth-worker": "",
    "indexer": "", "indexer-worker": "", "ipc": "", "log": "", "old-stats": "", "replicator": "",
    "stats": "", "tcpwrap": ""}


class Dovecot(Server):
    """Takes any user name, with PASSWORD. `special`: mailboxes that everyone has, named like their
    special use; `quota`, `acl`, `compress`: with these plugins; `max_mail_size`: with quota,
    "1M"; `offers`: its capabilities once signed in, "IMAP4rev1 UIDPLUS", None: all that it has."""

    name = "dovecot"
    mechanisms = "plain login"

    def __init__(self, very_dirty=False, special=SPECIAL, quota=False, acl=False,
                 max_mail_size="0", compress=False, offers=None):
        super().__init__()
        self.very_dirty, self.special, self.quota, self.acl = very_dirty, special, quota, acl
        self.compress, self.offers = compress, offers
        self.max_mail_size = max_mail_size

    def passdbs(self):
        """Who may sign in, in the words of its configuration."""
        return DOVECOT_ANY_USER.format(password=PASSWORD)

    def more(self):
        """What its configuration ends with."""
        return "protocol imap {\n  imap_capability = %s\n}\n" % self.offers if self.offers else ""

    def libraries(self):
        lib = "%s/usr/lib/dovecot" % ROOT
        return "%s/lib:%s:%s/modules/old-stats" % (self.folder, lib, lib)

    def configure(self):
        user, group = service_user()
        for name in ("run", "mail", "lib"):
            (self.folder / name).mkdir(exist_ok=True)
        if os.getuid() == 0:
            shutil.chown(self.folder / "mail", user, group)
        self.rename_paths()
        text = DOVECOT.format(
            folder=self.folder, root=ROOT, user=user, group=group, libraries=self.libraries(),
            mechanisms=self.mechanisms, passdbs=self.passdbs(), certificate=self.certificate[0], key=self.certificate[1],
            imap_port=self.imap_port, imaps_port=self.imaps_port,
            dirty="yes" if self.very_dirty else "no", max_mail_size=self.max_mail_size,
            plugins=" ".join(["quota"] * self.quota + ["acl"] * self.acl),
            imap_plugins=" ".join(["imap_quota"] * self.quota + ["imap_acl"] * self.acl
                                  + ["imap_zlib"] * self.compress),
            special="".join(DOVECOT_SPECIAL.format(name=name) for name in self.special),
            quota_users=DOVECOT_QUOTAS.format(folder=self.folder) if self.quota else "")
        (self.folder / "quotas").touch()
        for service, program in DOVECOT_SERVICES.items():
            text += "service %s {\n  executable = %s/usr/lib/dovecot/%s\n  chroot =\n}\n" % (
                service, ROOT, program or service)
        (self.folder / "dovecot.conf").write_text(text + self.more())

    def rename_paths(self):
        """Copies the library in which paths are compiled, and puts in short links for them."""
        self.copy_renamed("libdovecot.so.0", {
            "/usr/bin/doveconf": ("c", "usr/bin/doveconf"),
            "/usr/lib/dovecot/modules": ("m", "usr/lib/dovecot/modules")})

    def copy_renamed(self, name, paths):
        """Copies usr/lib/dovecot/`name` to lib; `paths`: {path in it: (a link here, its target)}.
        """
        octets = (ROOT / "usr/lib/dovecot" / name).read_bytes()
        for old, (new, target) in paths.items():
            link = self.folder / new
            old, new = os.fsencode(old), os.fsencode(link)
            assert old + b"\0" in octets and len(new) <= len(old), old
            octets = octets.replace(old + b"\0", new.ljust(len(old) + 1, b"\0"))
            link.unlink(missing_ok=True)
            link.symlink_to(ROOT / target)
        (self.folder / "lib" / name).write_bytes(octets)

    def command(self):
        environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": self.libraries()}
        return [ROOT / "usr/sbin/dovecot", "-F", "-c", self.folder / "dovecot.conf"], environment

    def imapd(self, user):
        """A shell command that is an IMAP session of `user` on standard input and output."""
        words = ["env", "LD_LIBRARY_PATH=" + self.libraries(), "USER=" + user,
                 "HOME=%s/mail/%s" % (self.folder, user), "%s/usr/lib/dovecot/imap" % ROOT,
                 "-c", "%s/dovecot.conf" % self.folder]
        if os.getuid() == 0:
            name, group = service_user()
            words = ["setpriv", "--reuid", name, "--regid", group, "--clear-groups", *words]
        return "exec " + shlex.join(words)

    def maildir(self, user, mailbox=""):
        """The folder of a mailbox in Maildir form; '' is INBOX, else '.Name.Child'."""
        return self.folder / "mail" / user / "Maildir" / mailbox

    def set_quota(self, user, kib):
        assert self.quota, "this Dovecot is without quota"
        uid, gid = (pwd.getpwnam(service_user()[0]).pw_uid, grp.getgrnam(service_user()[1]).gr_gid)
        path = self.folder / "quotas"
        lines = [line for line in path.read_text().splitlines() if not line.startswith(user + ":")]
        lines.append("%s::%d:%d::%s/mail/%s::userdb_quota_rule=*:storage=%dK" % (
            user, uid, gid, self.folder, user, kib))
        path.write_text("\n".join(lines) + "\n")
        time.sleep(1.1)  # Dovecot looks at the file once in a second of the clock


CYRUS = """
configdirectory: {folder}/conf
defaultpartition: default
partition-default: {folder}/spool
sievedir: {folder}/sieve
temp_path: {folder}/temp
servername: localhost
cyrus_user: {user}
cyrus_group: {group}
admins: cyrus
allowplaintext: yes
altnamespace: yes
unixhierarchysep: yes
virtdomains: off
reject8bit: no
munge8bit: no
expunge_mode: immediate
delete_mode: immediate
autocreate_quota: 0
{special}duplicatesuppression: no
skiplist_unsafe: yes
failedloginpause: 0
maxmessagesize: {max_mail_size}
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {folder}/conf/sasldb2
sasl_mech_list: {mechanisms}
tls_server_cert: {certificate}
tls_server_key: {key}
tls_client_ca_file: {ca}
idlesocket: {folder}/conf/socket/idle
"""
CYRUS_SERVICES = """
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {folder}/imapd.conf -r"
}}
SERVICES {{
  imap  cmd="{bin}/imapd -C {folder}/imapd.conf -U 30" listen="127.0.0.1:{imap_port}" prefork=0
  imaps cmd="{bin}/imapd -C {folder}/imapd.conf -s -U 30" listen="127.0.0.1:{imaps_port}" prefork=0
}}
DAEMON {{
  idled cmd="{bin}/idled -C {folder}/imapd.conf -d"
}}
"""


class Cyrus(Server):
    """Takes alice, bob, and whom add_user() names. Has quota and rights always. `special`: as
    Dovecot's; `max_mail_size`: octets, 0 for any."""

    name = "cyrus"
    mechanisms = "PLAIN LOGIN"

    def __init__(self, special=SPECIAL, max_mail_size=0):
        super().__init__()
        self.special, self.max_mail_size = special, max_mail_size

    def configure(self):
        user, group = service_user()
        self.copy_programs()
        for name in ("spool", "sieve", "temp", *("conf/" + n for n in (
                "socket", "db", "proc", "log", "lock"))):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        values = {
            "folder": self.folder, "user": user, "group": group, "bin": self.folder / "bin",
            "ca": self.ca, "certificate": self.certificate[0], "key": self.certificate[1],
            "imap_port": self.imap_port, "imaps_port": self.imaps_port,
            "mechanisms": self.mechanisms, "special": self.special_lines(), "max_mail_size": self.max_mail_size}
        (self.folder / "imapd.conf").write_text(CYRUS.format(**values) + self.more())
        (self.folder / "cyrus.conf").write_text(CYRUS_SERVICES.format(**values))
        for name in ("alice", "bob", "cyrus"):
            self.add_user(name)
        if os.getuid() == 0:
            for name in ("conf", "spool", "sieve", "temp"):
                subprocess.run(["chown", "-R", user + ":" + group, self.folder / name], check=True)

    def more(self):
        """What its configuration ends with."""
        return ""

    def special_lines(self):
        if not self.special:
            return ""
        names = "|".join(self.special)
        lines = ["autocreate_inbox_folders: " + names, "autocreate_subscribe_folders: " + names]
        lines += ["xlist-%s: %s" % (name.lower(), name) for name in self.special]
        return "\n".join(lines) + "\n"

    def set_quota(self, user, kib):
        with self.client(user):  # makes the INBOX
            pass
        with self.client("cyrus") as client:
            client.command(b'SETQUOTA "user/%s" (STORAGE %d)' % (user.encode(), kib))

    def copy_programs(self):
        """Root's checkout may be closed to the user that root's server becomes at once."""
        if (self.folder / "bin").exists():
            return
        (self.folder / "lib").mkdir()
        for library in ROOT.glob("usr/lib/*/libcyrus*.so.*"):
            shutil.copy(library, self.folder / "lib")
        shutil.copytree(ROOT / "usr/lib/cyrus/bin", self.folder / "bin", symlinks=True)

    def add_user(self, user, password=PASSWORD):
        subprocess.run(
            [ROOT / "usr/sbin/saslpasswd2", "-p", "-c", "-f", self.folder / "conf/sasldb2",
             "-u", "localhost", user], input=password.encode(), check=True,
            env=self.environment())

    def environment(self):
        user, group = service_user()
        return {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(self.folder / "lib"),
                "CYRUS_USER": user, "CYRUS_GROUP": group}

    def command(self):
        return [self.folder / "bin/master", "-C", self.folder / "imapd.conf",
                "-M", self.folder / "cyrus.conf", "-p", self.folder / "conf/master.pid",
                "-D"], self.environment()

    def identity(self):
        if os.getuid():
            return []
        user, group = service_user()
        return ["--reuid", user, "--regid", group, "--clear-groups"]
