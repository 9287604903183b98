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


class Introspection:
    """`good`: {token: user}, to be changed while it runs; `asked`: the tokens that were asked
    about, in order."""

    def __init__(self):
        self.good, self.asked = {}, []

    def __enter__(self):
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                token = urllib.parse.parse_qs(body.decode()).get("token", [""])[0]
                answer = json.dumps(tokens.told(token)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *words):
                """It is in `asked`."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d/introspect" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def told(self, token):
        self.asked.append(token)
        user = self.good.get(token)
        return {"active": True, "username": user, "scope": "imap"} if user else {"active": False}


class Granting:
    """A server at which a browser's code and refresh tokens are changed for access tokens (RFC
    6749, 4.1.3 and 6). `grants`: the form of each request, in order; `issued`: the access tokens."""

    def __init__(self, code):
        self.code = code
        self.grants, self.issued, self.refresh = [], [], None

    def __enter__(self):
        grants = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                form = {k: v[0] for k, v in urllib.parse.parse_qs(body.decode()).items()}
                status, answer = grants.grant(form)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *words):
                """It is in `grants`."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d/token" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=[0.05], daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def grant(self, form):
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
