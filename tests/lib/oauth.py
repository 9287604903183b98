"""Access tokens, and the server that Dovecot asks about them (RFC 7662).

    with Introspection() as tokens:
        tokens.good["abc"] = "alice"
        tokens.url, tokens.asked
"""
import base64
import hashlib
import hmac
import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FormServer:
    """Answers forms that are posted to it, by `answer(form)`: (status, what becomes JSON)."""

    path = "/"

    def __enter__(self):
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                form = {k: v[0] for k, v in urllib.parse.parse_qs(body.decode()).items()}
                status, answer = owner.answer(form)
                answer = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *words):
                """The owner remembers what was asked."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d%s" % (self.server.server_address[1], self.path)
        self.thread = threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


class Introspection(FormServer):
    """`good`: {token: user}, to be changed while it runs; `asked`: the tokens that were asked
    about, in order."""

    path = "/introspect"

    def __init__(self):
        self.good, self.asked = {}, []

    def answer(self, form):
        token = form.get("token", "")
        self.asked.append(token)
        user = self.good.get(token)
        return 200, ({"active": True, "username": user, "scope": "imap"} if user
                     else {"active": False})


class Granting(FormServer):
    """A server at which a browser's code and refresh tokens are changed for access tokens (RFC
    6749, 4.1.3 and 6). `grants`: the form of each request, in order; `issued`: the access tokens."""

    path = "/token"

    def __init__(self, code):
        self.code = code
        self.grants, self.issued, self.refresh = [], [], None

    def answer(self, form):
        self.grants.append(form)
        kind = form.get("grant_type")
        if not (kind == "authorization_code" and form.get("code") == self.code
                or kind == "refresh_token" and form.get("refresh_token") == self.refresh):
            return 400, {"error": "invalid_grant"}
        self.issued.append("access-%d" % (len(self.issued) + 1))
        self.refresh = "refresh-%d" % len(self.issued)
        return 200, {"access_token": self.issued[-1], "refresh_token": self.refresh,
                     "expires_in": 3600, "token_type": "Bearer"}


def encode(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def jwt(key, user, expires=3600):
    """A JSON Web Token (RFC 7519, HS256) for `user` that is good for so many seconds."""
    now = int(time.time())
    head, claims = ({"typ": "JWT", "alg": "HS256"},
                    {"sub": user, "iat": now - 60, "exp": now + expires})
    signed = ".".join(encode(json.dumps(part).encode()) for part in (head, claims))
    return signed + "." + encode(hmac.digest(key, signed.encode(), hashlib.sha256))
