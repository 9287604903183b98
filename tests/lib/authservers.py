"""Dovecot and Cyrus with every mechanism to sign in by that they have.

    with AuthDovecot(realm) as server:
        server.set_password("alice", "other")
        server.tokens.good["abc"] = "alice"     # see oauth.Introspection
        server.jwt("alice"), server.otp_left()
        server.client_certificate("alice")
        server.signed_in("alice"), server.refused()

Both know alice and bob, with PASSWORD. On Dovecot, "otp" has the passphrase OTP_PHRASE.
"""
import base64
import os
import re
import shutil
import sqlite3

from . import oauth, otp
from .servers import PASSWORD, Cyrus, Dovecot, service_user

JWT_KEY = b"a key that only the servers know"
OTP_PHRASE, OTP_SEED, OTP_COUNT = "no one-time secret", "ab1234", 500

DOVECOT_PASSDBS = """passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/jwt.ext
  result_success = return-ok
  result_failure = continue
  result_internalfail = continue
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/introspection.ext
}}
passdb {{
  driver = static
  mechanisms = external
  args = nopassword
}}
passdb {{
  driver = sql
  mechanisms = plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 otp gssapi
  args = {folder}/sql.ext
}}
"""
DOVECOT_MORE = """
import_environment = TZ LD_LIBRARY_PATH={libraries} KRB5_CONFIG={krb5}
auth_krb5_keytab = {keytab}
auth_gssapi_hostname = "$ALL"
auth_realms = localhost
auth_username_format = %Ln
auth_verbose = yes
ssl_ca = <{ca}
ssl_require_crl = no
ssl_verify_client_cert = yes
auth_ssl_username_from_cert = yes
service auth {{
  executable = {folder}/lib/auth
}}
service auth-worker {{
  executable = {folder}/lib/auth -w
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""
SQL = """driver = sqlite
connect = {database}
password_query = SELECT user, password FROM users WHERE user = '%u'
update_query = UPDATE users SET password = '%w' WHERE user = '%u'
"""
INTROSPECTION = """introspection_mode = post
introspection_url = {url}
username_attribute = username
active_attribute = active
active_value = true
openid_configuration_url = https://localhost/.well-known/openid-configuration
"""
JWT = """introspection_mode = local
local_validation_key_dict = fs:posix:prefix={folder}/keys/
username_attribute = sub
"""


class AuthDovecot(Dovecot):
    """`mechanisms`: only these, in the order in which they are to be offered.

    A worker of its auth process that has stored a one-time password ends with a panic in the log;
    the sign-in is done by then.
    """

    name = "dovecot"
    mechanisms = ("plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 xoauth2 oauthbearer "
                  "gssapi otp external")

    def __init__(self, realm, mechanisms=None, **more):
        super().__init__(**more)
        self.realm, self.mechanisms = realm, mechanisms or self.mechanisms
        self.tokens = oauth.Introspection()

    def __enter__(self):
        self.tokens.__enter__()
        return super().__enter__()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self.tokens.__exit__()

    def passdbs(self):
        return DOVECOT_PASSDBS.format(folder=self.folder)

    def more(self):
        return DOVECOT_MORE.format(
            folder=self.folder, libraries=self.libraries(),
            krb5=self.realm.environment["KRB5_CONFIG"], keytab=self.realm.keytab, ca=self.ca)

    def rename_paths(self):
        super().rename_paths()
        self.copy_renamed("auth", {
            "/usr/lib/dovecot/modules/auth": ("a", "usr/lib/dovecot/modules/auth")})
        (self.folder / "lib/auth").chmod(0o755)

    def configure(self):
        self.database = self.folder / "users" / "db"
        keys = self.folder / "keys" / "default" / "HS256"
        if not self.database.exists():
            keys.mkdir(parents=True)
            (keys / "default").write_bytes(base64.b64encode(JWT_KEY))
            self.make_users()
        (self.folder / "sql.ext").write_text(SQL.format(database=self.database))
        (self.folder / "introspection.ext").write_text(INTROSPECTION.format(url=self.tokens.url))
        (self.folder / "jwt.ext").write_text(JWT.format(folder=self.folder))
        super().configure()

    def make_users(self):
        self.database.parent.mkdir()
        with self.users() as users:
            users.execute("CREATE TABLE users (user TEXT PRIMARY KEY, password TEXT)")
        for user in ("alice", "bob"):
            self.add_user(user)
        self.set_entry("otp", otp.entry(OTP_PHRASE, OTP_SEED, OTP_COUNT))
        if os.getuid() == 0:
            for path in (self.database.parent, self.database):
                shutil.chown(path, *service_user())

    def users(self):
        return sqlite3.connect(self.database, timeout=30)

    def set_entry(self, user, entry):
        with self.users() as users:
            users.execute("REPLACE INTO users VALUES (?, ?)", (user, entry))

    def set_password(self, user, password):
        self.set_entry(user, "{PLAIN}" + password)

    def add_user(self, user):
        self.set_password(user, PASSWORD)

    def otp_left(self):
        """The number that the next challenge for "otp" is made from, less one."""
        with self.users() as users:
            entry, = users.execute("SELECT password FROM users WHERE user = 'otp'").fetchone()
        return int(entry.split()[1])

    def jwt(self, user, expires=3600):
        return oauth.jwt(JWT_KEY, user, expires)

    def client_certificate(self, user):
        return self.authority.client(user)

    def output(self):
        return (self.folder / "output").read_text(errors="replace")

    def signed_in(self, user):
        """The mechanism of each sign-in."""
        return re.findall(r"imap-login: Info: Login: user=<%s>, method=([\w-]+)" % re.escape(user),
                          self.output())

    def refused(self):
        """The number of attempts in each connection that ended without a sign-in, those without an
        attempt left out."""
        return [int(n) for n in re.findall(
            r"imap-login: Info: .*auth failed, (\d+) attempts", self.output())]


class AuthCyrus(Cyrus):
    """`mechanisms`: only these."""

    name = "cyrus"
    mechanisms = ("PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-384 "
                  "SCRAM-SHA-512 GSSAPI GS2-KRB5 EXTERNAL")

    def __init__(self, realm, mechanisms=None, **more):
        super().__init__(**more)
        self.realm, self.mechanisms = realm, mechanisms or self.mechanisms

    def environment(self):
        return {**super().environment(), **self.realm.environment,
                "KRB5_KTNAME": str(self.realm.keytab)}

    def client_certificate(self, user):
        return self.authority.client(user)

    def set_password(self, user, password):
        self.add_user(user, password)
