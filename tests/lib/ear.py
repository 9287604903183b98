"""A server that means ill, and remembers all that it hears.

    def serve(line):
        line.greet("IMAP4rev1 AUTH=PLAIN")
        tag, command = line.until("AUTHENTICATE")
        line.send(tag + " NO")

    with Ear(serve, tls=(certificate, key)) as ear:
        ear.port, ear.lines, ear.attempts, ear.knows("secret")

`serve` runs once for each connection, in a thread of its own; it ends with the client.
"""
import base64
import binascii
import re
import ssl
import threading

from .listener import Listener, shut

WORD = re.compile(rb"[A-Za-z0-9+/_-]{2,}={0,2}")


def decoded(word):
    """What a word may stand for: base64 of it, from wherever it may begin, and hexadecimal."""
    plain = word.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    for start in range(4):
        piece = plain[start:]
        piece = piece[:len(piece) - (len(piece) % 4 == 1)]
        yield base64.b64decode(piece + b"=" * (-len(piece) % 4))
    try:
        yield binascii.unhexlify(plain)
    except binascii.Error:
        pass


class Ear(Listener):
    """`tls`: (certificate, key) with which it speaks TLS from the first byte."""

    def __init__(self, serve, tls=None):
        self.serve, self.tls = serve, tls
        self.heard = []   # the lines, as octets, of all connections; in TLS, what was in it
        self.failed = []  # errors of TLS
        self.broken = []  # errors of `serve`
        self.connections = []

    def __exit__(self, *exception):
        self.end_listening()
        for line in self.connections:
            line.close()
        for line in self.connections:
            line.thread.join(10)
        if self.broken and not any(exception):
            raise self.broken[0]

    def took(self, connection):
        self.connections.append(Line(self, connection))

    @property
    def lines(self):
        return [octets.decode("utf-8", "replace").rstrip("\r\n") for octets in self.heard]

    @property
    def attempts(self):
        """The commands that sign in, without their tags: the verb and the mechanism."""
        return [" ".join(line.split()[1:3 if "AUTH" in line.upper() else 2]).upper()
                for line in self.lines if re.match(r"\S+ (LOGIN|AUTHENTICATE)\b", line, re.I)]

    def knows(self, secret):
        """Whether the secret is in what it heard, as it is or decoded."""
        octets = b"".join(self.heard)
        found = [octets, *(d for word in WORD.findall(octets) for d in decoded(word))]
        return any(secret.encode() in piece for piece in found)


class Line:
    """One connection."""

    def __init__(self, ear, connection):
        self.ear, self.socket = ear, connection
        self.raw = connection
        self.file = None
        self.capabilities = ""
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            if self.ear.tls:
                self.encrypt(self.ear.tls)
            else:
                self.file = self.socket.makefile("rb")
            self.ear.serve(self)
            while self.read():
                pass
        except ssl.SSLError as problem:
            self.ear.failed.append(problem)
        except (OSError, EOFError):
            pass
        except Exception as problem:
            self.ear.broken.append(problem)
        finally:
            self.close()

    def close(self):
        shut(self.raw)

    def encrypt(self, tls):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, tls))
        self.socket = self.raw = context.wrap_socket(self.socket, server_side=True)
        self.file = self.socket.makefile("rb")

    def send(self, *lines):
        self.socket.sendall("".join(line + "\r\n" for line in lines).encode())

    def challenge(self, octets):
        self.send("+ " + base64.b64encode(octets).decode())

    def read(self):
        """The next line; at the end EOFError."""
        octets = self.file.readline()
        if not octets:
            raise EOFError
        self.ear.heard.append(octets)
        return octets.decode("utf-8", "replace").rstrip("\r\n")

    def response(self):
        """The next line, decoded."""
        return base64.b64decode(self.read())

    def greet(self, capabilities):
        self.capabilities = capabilities
        self.send("* OK [CAPABILITY %s] ready" % capabilities)

    def until(self, verb):
        """(tag, command) of the first command that begins so; those that ask what it can do are
        answered, all others refused."""
        while True:
            tag, _, command = self.read().partition(" ")
            if command.upper().startswith(verb.upper()):
                return tag, command
            if command.upper() == "CAPABILITY":
                self.send("* CAPABILITY " + self.capabilities, tag + " OK done")
            elif command.upper() == "LOGOUT":
                self.send("* BYE", tag + " OK done")
                raise EOFError
            else:
                self.send(tag + " NO not now")
