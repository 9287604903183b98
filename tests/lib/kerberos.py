"""A private Kerberos realm: a KDC on a free port of the loopback, in a temporary folder.

    with Realm() as realm:
        realm.principal("alice")                # with PASSWORD
        realm.keytab                            # that of imap/localhost
        realm.sign_in("alice")                  # a ticket, in realm.tickets
        realm.environment                       # for whoever is to use the realm

The programs are those that tests/install-packages unpacks; nothing is installed or enabled.
"""
import socket
import subprocess

from .mount import wait_for
from .servers import PASSWORD, ROOT, free_port
from .throwaway import Throwaway

NAME = "TEST.EXAMPLE"
PROGRAMS = ROOT / "usr"
CLIENT = """
[libdefaults]
default_realm = {name}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
dns_uri_lookup = false
rdns = false
udp_preference_limit = 1
clockskew = 2
default_ccache_name = FILE:{tickets}
[realms]
{name} = {{
  kdc = 127.0.0.1:{port}
}}
[domain_realm]
localhost = {name}
"""
KDC = """
[kdcdefaults]
kdc_listen = 127.0.0.1:{port}
kdc_tcp_listen = 127.0.0.1:{port}
[realms]
{name} = {{
  database_module = own
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
  max_life = 10h
}}
[dbmodules]
db_module_dir = {modules}
own = {{
  db_library = db2
  database_name = {folder}/principal
}}
[logging]
kdc = FILE:{folder}/kdc.log
"""


class Realm(Throwaway):
    prefix = "mailmount-krb"
    hole = None

    def __exit__(self, *exception):
        if self.hole:
            self.hole.close()
        super().__exit__(*exception)

    # -- the KDC

    def make(self):
        self.port = free_port()
        self.tickets = self.folder / "tickets"
        self.keytab = self.folder / "imap.keytab"
        modules = next(PROGRAMS.glob("lib/*/krb5/plugins/kdb"))
        self.libraries = modules.parents[2]
        values = {"name": NAME, "folder": self.folder, "modules": modules,
                  "tickets": self.tickets}
        self.point_to(self.port)
        (self.folder / "kdc.conf").write_text(KDC.format(port=self.port, **values))
        self.run("sbin/kdb5_util", "create", "-s", "-r", NAME, "-P", "master")
        self.administer("addprinc -randkey imap/localhost",
                        "ktadd -k %s imap/localhost" % self.keytab)
        self.keytab.chmod(0o644)

    def start(self):
        with open(self.folder / "output", "ab") as output:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", PROGRAMS / "sbin/krb5kdc", "-n"],
                env=self.own_environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True)
        assert wait_for(self.answers, 60), (self.folder / "output").read_text()

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            assert self.process.poll() is None, (self.folder / "output").read_text()
            return False

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
        self.process = None

    def point_to(self, port):
        (self.folder / "krb5.conf").write_text(CLIENT.format(
            name=NAME, tickets=self.tickets, port=port))

    def blackhole(self):
        """From now on the KDC is one that takes connections and never says a word."""
        self.hole = socket.create_server(("127.0.0.1", 0))
        self.hole.setblocking(False)
        self.held = []
        self.point_to(self.hole.getsockname()[1])

    def asked(self):
        """Whether anybody has turned to it since."""
        try:
            self.held.append(self.hole.accept()[0])
        except BlockingIOError:
            pass
        return bool(self.held)

    def reachable(self):
        """Undoes blackhole()."""
        self.point_to(self.port)
        if self.hole:
            for each in (self.hole, *self.held):
                each.close()
        self.hole = None

    # -- principals and tickets

    @property
    def environment(self):
        return {"KRB5_CONFIG": str(self.folder / "krb5.conf"),
                "KRB5CCNAME": "FILE:%s" % self.tickets}

    @property
    def own_environment(self):
        return {**self.environment, "PATH": "/usr/bin:/bin",
                "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"),
                "LD_LIBRARY_PATH": str(self.libraries)}

    def run(self, program, *words, said=""):
        done = subprocess.run([PROGRAMS / program, *map(str, words)], env=self.own_environment,
                              input=said, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, "%s: %s%s" % (program, done.stdout, done.stderr)
        return done.stdout

    def administer(self, *commands):
        self.run("sbin/kadmin.local", said="\n".join(commands) + "\n")

    def principal(self, name, password=PASSWORD):
        self.administer("addprinc -pw %s %s" % (password, name))

    def sign_in(self, name, password=PASSWORD, life="10h", tickets=None):
        """Gets a ticket, good for `life`, in `tickets` (realm.tickets)."""
        self.run("bin/kinit", "-l", life, "-c", "FILE:%s" % (tickets or self.tickets), name,
                 said=password + "\n")

    def sign_out(self):
        self.tickets.unlink(missing_ok=True)

    def signed_in(self):
        """Whether there is a ticket that has not expired."""
        return subprocess.run([PROGRAMS / "bin/klist", "-s"], env=self.own_environment,
                              timeout=120).returncode == 0

    def services(self):
        """The services that tickets were given for."""
        out = self.run("bin/klist", "-c", "FILE:%s" % self.tickets)
        return [line.split()[-1].split("@")[0] for line in out.splitlines() if "@" in line][1:]

    def log(self):
        return (self.folder / "kdc.log").read_text()
