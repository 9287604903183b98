"""A certificate authority and servers' certificates, good and bad, made with openssl(1)."""
import subprocess
from pathlib import Path

CONFIG = """
[ca]
default_ca = own
[own]
dir = {folder}
database = $dir/index
new_certs_dir = $dir
serial = $dir/serial
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Authority:
    """Makes certificates in `folder`. Each is (certificate file, key file)."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "index").write_text("")
        (self.folder / "serial").write_text("01\n")
        (self.folder / "ca.conf").write_text(CONFIG.format(folder=self.folder))
        self.ca = self.folder / "ca.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "3650", "-subj", "/CN=mailmount test authority",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                "-keyout", self.folder / "ca.key", "-out", self.ca)

    def certificate(self, name, hosts=("DNS:localhost", "IP:127.0.0.1"), start="20200101000000Z",
                    end="20491231000000Z", usage="serverAuth"):
        """A certificate of this authority, good for `hosts` from `start` to `end`."""
        key, request, cert = (self.folder / (name + end_) for end_ in (".key", ".csr", ".crt"))
        extensions = self.folder / (name + ".ext")
        extensions.write_text("subjectAltName=%s\nextendedKeyUsage=%s\n" % (",".join(hosts), usage))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=" + name, "-keyout", key, "-out", request)
        openssl("ca", "-batch", "-notext", "-config", self.folder / "ca.conf",
                "-cert", self.ca, "-keyfile", self.folder / "ca.key", "-in", request,
                "-out", cert, "-extfile", extensions, "-startdate", start, "-enddate", end)
        for path in (key, cert, self.ca):
            path.chmod(0o644)
        return cert, key

    def client(self, user):
        """One that a client shows: it bears the user's name."""
        cert, key = self.certificate(user, hosts=("email:%s@localhost" % user,), usage="clientAuth")
        key.chmod(0o600)
        return cert, key

    def expired(self):
        return self.certificate("expired", end="20210101000000Z")

    def elsewhere(self):
        """Valid, but for another host."""
        return self.certificate("elsewhere", hosts=("DNS:elsewhere.example",))

    def self_signed(self):
        key, cert = self.folder / "self.key", self.folder / "self.crt"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "3650", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-keyout", key, "-out", cert)
        return cert, key


def fingerprint(cert):
    """The certificate's SHA-256 as hexadecimal digits."""
    out = subprocess.run(["openssl", "x509", "-in", str(cert), "-noout", "-fingerprint", "-sha256"],
                         check=True, capture_output=True, text=True).stdout
    return out.strip().split("=")[1].replace(":", "").lower()
