"""A small internet of its own: a name server, web servers and IMAP servers in a network namespace.

    with Internet(folder, authority) as net:
        net.world["dns"]["_imaps._tcp.example.org SRV"] = [[0, 0, 993, "imap.example.org"]]
        net.write()
        subprocess.run(net.inside(command))

world: {"dns": {"NAME TYPE": answers}, "https": {"HOST/PATH": page}, "imap": {port: options}}. TYPE
is A or AAAA (addresses), MX ([preference, host]) or SRV ([priority, weight, port, target]); a
name that is in none is unknown, the answer "fails" is SERVFAIL and "silent" none at all. A page
has status, body, location, chunked, bytewise (every byte in a record of TLS) or raw (all that is
sent); without the path's page the status is 404. The options of an IMAP server: tls ("implicit",
"starttls"), password, host (the address that it is at, 127.0.0.1). "proxy": {port: the one that it
leads to}, in SOCKS5. Every host has a certificate of its own by the authority, but those of
"certificates": {host: another host} that one's. Run by itself, this is what serves.
"""
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

if __package__:
    from . import proxies, scripted
    from .mount import APART
else:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from lib import proxies, scripted  # noqa: E402

TYPES = {1: "A", 15: "MX", 28: "AAAA", 33: "SRV"}
RESOLV = "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n"


class Internet:
    """`hosts`: names that there are certificates for. `network`: commands of sh that make more than
    the loopback; `files`: {a file of the system: what it is to hold there}. As root in a network of
    its own, else in a user namespace too."""

    def __init__(self, folder, authority, hosts, network="true", files=None):
        self.authority, self.network, self.files = authority, network, files or {}
        self.ordinary = os.getuid() != 0
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.world = {"dns": {}, "https": {}, "imap": {}, "proxy": {}, "certificates": {}, "files": {
            host: [str(f) for f in authority.certificate(host, ["DNS:" + host])]
            for host in hosts}}
        for host in hosts:
            self.world["dns"][host + " A"] = ["127.0.0.1"]
        self.log = self.folder / "log"

    def write(self):
        new = self.folder / "world.new"
        new.write_text(json.dumps(self.world))
        new.rename(self.folder / "world")
        self.log.write_text("")

    def heard(self, kind):
        """What servers of a kind (dns, https, imap) were asked since write()."""
        return [line.partition(" ")[2] for line in self.log.read_text().splitlines()
                if line.startswith(kind + " ")]

    def __enter__(self):
        self.write()
        script = "ip link set lo up && %s && exec %s %s %s" % (
            self.network, sys.executable, __file__, self.folder)
        files = {"/etc/resolv.conf": RESOLV, "/etc/hosts": "127.0.0.1 localhost\n", **self.files}
        for file, text in files.items():
            own = self.folder / Path(file).name
            own.write_text(text)
            script = "mount --bind %s %s && %s" % (own, file, script)
        self.process = subprocess.Popen(
            ["unshare", "-n", "-m", *(["-U", "-r"] if self.ordinary else []), "--propagation",
             "private", "sh", "-c", APART + script], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not (self.folder / "ready").exists():
            assert self.process.poll() is None and time.monotonic() < deadline, "it does not start"
            time.sleep(0.02)
        return self

    def __exit__(self, *exception):
        self.process.terminate()
        self.process.wait()

    def inside(self, command):
        more = ["-U", "--preserve-credentials"] if self.ordinary else []
        return ["nsenter", "-t", str(self.process.pid), "-n", "-m", *more, *map(str, command)]


# ---- what serves

class Servers:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.lock = threading.Lock()

    @property
    def world(self):
        return json.loads((self.folder / "world").read_text())

    def note(self, *words):
        with self.lock, open(self.folder / "log", "a") as log:
            log.write(" ".join(words) + "\n")

    def run(self):
        started = [self.dns, self.https]
        for port, options in self.world["imap"].items():
            started.append(lambda port=int(port), options=options: self.imap(port, options))
        for port, target in self.world["proxy"].items():
            started.append(lambda port=int(port), target=target: self.proxy(port, target))
        self.ready = threading.Barrier(len(started) + 1)
        for server in started:
            threading.Thread(target=server, daemon=True).start()
        self.ready.wait()
        (self.folder / "ready").touch()
        threading.Event().wait()

    # -- DNS (RFC 1035, 4)

    def dns(self):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 53))
        self.ready.wait()
        while True:
            query, peer = server.recvfrom(4096)
            answer = self.answer(query)
            if answer:
                server.sendto(answer, peer)

    def answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12:at + 5]
        name = ".".join(labels).lower()
        kind = TYPES.get(struct.unpack("!H", query[at + 1:at + 3])[0], "?")
        self.note("dns", name, kind)
        names = self.world["dns"]
        found = names.get("%s %s" % (name, kind), [])
        if found == "silent":
            return None
        code = 2 if found == "fails" else 0 if any(n.split()[0] == name for n in names) else 3
        records = [] if code else [self.record(query[at + 1:at + 3], kind, one) for one in found]
        return (query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0) + question
                + b"".join(records))

    @staticmethod
    def record(number, kind, one):
        if kind in ("SRV", "MX"):
            target = b"".join(bytes([len(w)]) + w.encode() for w in one[-1].split(".") if w) + b"\0"
            data = struct.pack("!%dH" % (len(one) - 1), *one[:-1]) + target
        else:
            data = socket.inet_pton(socket.AF_INET6 if ":" in one else socket.AF_INET, one)
        return b"\xc0\x0c" + number + struct.pack("!HIH", 1, 60, len(data)) + data

    # -- HTTPS

    def context(self, world, name):
        files = world["files"][world["certificates"].get(name, name)]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        return context

    def chosen(self, world):
        """A context that shows each host's certificate."""
        context = self.context(world, next(iter(world["files"])))

        def choose(connection, name, _):
            connection.context = self.context(world, name)
        context.sni_callback = choose
        return context

    def https(self):
        listener = socket.create_server(("127.0.0.1", 443))
        self.ready.wait()
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self.page, args=(connection,), daemon=True).start()

    def page(self, connection):
        world = self.world
        try:
            with self.chosen(world).wrap_socket(connection, server_side=True) as secure:
                head = b""
                while b"\r\n\r\n" not in head:
                    more = secure.recv(4096)
                    if not more:
                        return
                    head += more
                lines = head.decode().split("\r\n")
                host = next(x[6:] for x in lines if x.startswith("Host: "))
                path = lines[0].split()[1]
                self.note("https", host + path)
                self.send_page(secure, world["https"].get(host + path.partition("?")[0]))
        except (OSError, ssl.SSLError):
            pass

    def send_page(self, secure, page):
        page = page or {"status": 404}
        if page.get("silent"):
            threading.Event().wait(600)
        if "raw" in page:
            secure.sendall(page["raw"].encode("latin-1"))
            return
        body = page.get("body", "").encode() * page.get("times", 1)
        head = "HTTP/1.1 %d Words\r\n" % page.get("status", 200)
        if "location" in page:
            head += "Location: %s\r\n" % page["location"]
        if page.get("chunked"):
            head += "Transfer-Encoding: chunked\r\n"
            body = b"".join(b"%x;x=y\r\n%s\r\n" % (len(body[i:i + 100]), body[i:i + 100])
                            for i in range(0, len(body), 100)) + b"0\r\n\r\n"
        elif not page.get("endless"):
            head += "Content-Length: %d\r\n" % len(body)
        octets = head.encode() + b"\r\n" + body
        piece = 1 if page.get("bytewise") else len(octets)
        for i in range(0, len(octets), piece):
            secure.sendall(octets[i:i + piece])

    # -- SOCKS

    def proxy(self, port, target):
        servers = self

        class Noting(proxies.Socks):
            def listen(self):
                self.port = port

            def greet(self, connection):
                good = super().greet(connection)
                servers.note("proxy", "%s %d" % self.asked[-1])
                return good
        listener = socket.create_server(("127.0.0.1", port))
        self.ready.wait()
        proxy = Noting(target)
        while True:
            proxy.took(listener.accept()[0])

    # -- IMAP

    def imap(self, port, options):
        servers = self

        class Session(scripted.Session):
            def wrap(self, files):
                self.socket = servers.chosen(servers.world).wrap_socket(self.socket, server_side=True)
                self.raw_socket = self.socket
                self.file = self.socket.makefile("rb")

            def sign_in(self, password):
                servers.note("imap", "%d %s" % (port, password))
                return super().sign_in(password)

            def do_authenticate(self, arguments, tag):
                import base64
                words = arguments.split()
                if len(words) > 1:
                    servers.note("user", base64.b64decode(words[1]).split(b"\0")[1].decode())
                return super().do_authenticate(arguments, tag)
        implicit = options.get("tls") == "implicit"
        server = scripted.Scripted({"INBOX": [], "Trash": scripted.Mailbox([], "\\Trash")},
                                   tls=implicit, starttls=not implicit,
                                   password=options.get("password", "secret"))
        host = options.get("host", "127.0.0.1")
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.ready.wait()
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=Session(server, connection).run, daemon=True).start()


if __name__ == "__main__":
    Servers(sys.argv[1]).run()
