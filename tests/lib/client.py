"""A bare IMAP client: sends lines, returns whole responses with their literals."""
import base64
import re
import socket
import ssl

LITERAL = re.compile(rb"\{(\d+)\}$")
FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)")
UID = re.compile(rb"\bUID (\d+)")


class ImapError(Exception):
    pass


class Client:
    """`ca`: the port speaks TLS; `certificate`: (certificate, key) to show there."""

    def __init__(self, port, user="alice", password="secret", host="127.0.0.1", ca=None,
                 timeout=60, certificate=None):
        self.socket = socket.create_connection((host, port), timeout)
        if ca:
            context = ssl.create_default_context(cafile=str(ca))
            if certificate:
                context.load_cert_chain(*map(str, certificate))
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb", 1 << 16)
        self.tag = 0
        self.response()
        if user is not None:
            self.command(b'LOGIN "%s" "%s"' % (user.encode(), password.encode()))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def response(self):
        """One response as a list: line, literal, line, literal, ... line."""
        parts = []
        while True:
            line = self.file.readline()
            if not line.endswith(b"\n"):
                raise ImapError("the server closed the connection")
            line = line.rstrip(b"\r\n")
            parts.append(line)
            literal = LITERAL.search(line)
            if not literal:
                return parts
            parts.append(self.file.read(int(literal[1])))

    def authenticate(self, mechanism, respond):
        """`respond`: function of a challenge's octets, the first one empty, to the response's."""
        tag = self.send(b"AUTHENTICATE " + mechanism.encode())
        while (response := self.response())[0].startswith(b"+"):
            said = respond(base64.b64decode(response[0][1:].strip()))
            self.socket.sendall(base64.b64encode(said) + b"\r\n")
        while not response[0].startswith(tag + b" "):
            response = self.response()
        if not response[0].startswith(tag + b" OK"):
            raise ImapError(response[0].decode("utf-8", "replace"))

    def send(self, line):
        """Sends a command; returns its tag."""
        self.tag += 1
        tag = b"t%d" % self.tag
        self.socket.sendall(tag + b" " + line + b"\r\n")
        return tag

    def answers(self, tag):
        """The untagged responses until `tag` is answered, one by one. Anything but OK raises."""
        while True:
            response = self.response()
            if response[0].startswith(tag + b" "):
                if not response[0].startswith(tag + b" OK"):
                    raise ImapError(response[0].decode("latin-1"))
                return
            yield response

    def command(self, line):
        return list(self.answers(self.send(line)))

    def append(self, mailbox, message, flags=b"", date=None):
        """Delivers `message` (bytes); `mailbox` is the wire's name (bytes). Returns None, or the
        server's words if it refuses."""
        self.tag += 1
        tag = b"t%d" % self.tag
        when = b' "%s"' % date.encode() if date else b""
        self.socket.sendall(b'%s APPEND "%s" (%s)%s {%d}\r\n'
                            % (tag, mailbox, flags, when, len(message)))
        response = self.response()
        while not response[0].startswith((b"+", tag)):
            response = self.response()
        if response[0].startswith(b"+"):
            self.socket.sendall(message + b"\r\n")
            response = self.response()
            while not response[0].startswith(tag):
                response = self.response()
        if response[0].startswith(tag + b" OK"):
            return None
        return response[0].decode("latin-1")

    def mailboxes(self):
        """The wire's names of all that can be selected."""
        names = []
        for response in self.command(b'LIST "" "*"'):
            found = re.match(rb"\* LIST \(([^)]*)\) (?:NIL|\"[^\"]*\") (.*)$", response[0])
            if found and b"\\noselect" not in found[1].lower():
                name = response[1] if len(response) > 1 else found[2]
                names.append(re.sub(rb"\\(.)", rb"\1", name[1:-1])
                             if name.startswith(b'"') else name)
        return names

    def flags(self):
        """{mailbox: {UID: flags}} of the whole account, \\Recent among them; changes nothing."""
        result = {}
        for mailbox in self.mailboxes():
            self.command(b'EXAMINE "%s"' % mailbox.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))
            result[mailbox] = {
                int(UID.search(r[0])[1]): frozenset(FLAGS.search(r[0])[1].lower().split())
                for r in self.command(b"UID FETCH 1:* (UID FLAGS)") if b" FETCH (" in r[0]}
        return result

    def bodies(self, mailbox, section=b""):
        """Yields (UID, BODY[section]) of every message of a mailbox."""
        self.command(b'EXAMINE "%s"' % mailbox)
        for response in self.answers(self.send(b"UID FETCH 1:* (UID BODY.PEEK[%s])" % section)):
            uid = UID.search(response[0]) or UID.search(response[-1])
            if uid and b" FETCH (" in response[0]:
                yield int(uid[1]), response[1] if len(response) > 1 else b""
