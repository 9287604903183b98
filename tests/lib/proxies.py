"""Small proxies: SOCKS5 (RFC 1928, RFC 1929) and HTTP CONNECT, which send all to one target.

    with Socks(port, password="sesame") as proxy:
        ... proxy.uri ...; proxy.asked is [("mail.example", 993), ...]

`flaw`: None; "refuse" all; "garbage": says nonsense; "hang": says nothing.
"""
import base64
import socket
import struct
import threading

from .listener import Listener, shut


class Proxy(Listener):
    scheme = ""

    def __init__(self, target, password=None, flaw=None):
        self.target, self.password, self.flaw = target, password, flaw
        self.asked = []
        self.sockets = []
        self.listen()
        self.uri = "%s://%s127.0.0.1:%d" % (
            self.scheme, "alice:%s@" % password if password else "", self.port)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.end_listening()
        for connection in self.sockets:
            shut(connection)
            connection.close()

    def took(self, connection):
        self.sockets.append(connection)
        threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.flaw == "hang":
                return
            if self.flaw == "garbage":
                connection.sendall(b"220 mail.example ESMTP\r\n")
                return
            if self.greet(connection):
                server = socket.create_connection(("127.0.0.1", self.target))
                self.sockets.append(server)
                threading.Thread(target=pump, args=(connection, server), daemon=True).start()
                pump(server, connection)
        except (OSError, EOFError):
            connection.close()


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def exactly(connection, length):
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


class Socks(Proxy):
    scheme = "socks5"

    def greet(self, connection):
        _, count = exactly(connection, 2)
        methods = exactly(connection, count)
        wanted = 2 if self.password else 0
        if wanted not in methods:
            connection.sendall(b"\5\xff")
            return False
        connection.sendall(bytes([5, wanted]))
        if self.password and not self.sign_in(connection):
            return False
        _, _, _, kind = exactly(connection, 4)
        if kind == 3:
            host = exactly(connection, exactly(connection, 1)[0]).decode()
        else:
            host = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6,
                                    exactly(connection, 4 if kind == 1 else 16))
        self.asked.append((host, struct.unpack("!H", exactly(connection, 2))[0]))
        connection.sendall(b"\5" + (b"\2" if self.flaw == "refuse" else b"\0")
                           + b"\0\1\0\0\0\0\0\0")
        return self.flaw != "refuse"

    def sign_in(self, connection):
        exactly(connection, 1)
        user = exactly(connection, exactly(connection, 1)[0]).decode()
        password = exactly(connection, exactly(connection, 1)[0]).decode()
        good = (user, password) == ("alice", self.password)
        connection.sendall(b"\1\0" if good else b"\1\1")
        return good


class Connect(Proxy):
    scheme = "http"

    def greet(self, connection):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += exactly(connection, 1)
        lines = head.decode().split("\r\n")
        host, _, port = lines[0].split()[1].rpartition(":")
        if self.password:
            wanted = "Proxy-Authorization: Basic " + base64.b64encode(
                b"alice:" + self.password.encode()).decode()
            if wanted not in lines:
                connection.sendall(b"HTTP/1.1 407 Who are you\r\n\r\n")
                return False
        self.asked.append((host, int(port)))
        if self.flaw == "refuse":
            connection.sendall(b"HTTP/1.1 403 Not to there\r\n\r\n")
            return False
        connection.sendall(b"HTTP/1.1 200 Go on\r\nServer: small\r\n\r\n")
        return True
