"""A mount from an address alone: SRV records, settings files, and what is not to be believed."""
import os
import re
import subprocess

import pytest

from lib.internet import Internet
from lib.mount import BINARY, SLOW
from test_check import CONFIG, INTERRUPTED, LOGIN, NETWORK, OK, Checked, Terminal

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can make a network")

HOSTS = ("imap.example.org", "autoconfig.example.org", "example.org", "mail.provider.example",
         "www.provider.example")
ALICE = "alice@example.org"
SRV = {"imaps": "_imaps._tcp.example.org SRV", "imap": "_imap._tcp.example.org SRV"}
FILE = "autoconfig.example.org/mail/config-v1.1.xml"
WELL_KNOWN = "example.org/.well-known/autoconfig/mail/config-v1.1.xml"


def server(host="mail.provider.example", port=993, socket="SSL", user="%EMAILADDRESS%",
           kind="imap"):
    return ('<incomingServer type="%s"><hostname>%s</hostname><port>%s</port>'
            "<socketType>%s</socketType><username>%s</username>"
            "<authentication>password-cleartext</authentication></incomingServer>"
            % (kind, host, port, socket, user))


def settings(*servers):
    return ('<?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="example.org">'
            "<domain>example.org</domain>%s</emailProvider></clientConfig>" % "".join(servers))


@pytest.fixture(scope="module")
def network(tmp_path_factory, authority):
    net = Internet(tmp_path_factory.mktemp("net"), authority, HOSTS)
    net.world["imap"] = {993: {"tls": "implicit"}, 1993: {"tls": "implicit"},
                         143: {"tls": "starttls"}}
    net.world["proxy"] = {1080: 443, 1081: 993}
    with net:
        yield net


@pytest.fixture
def net(network):
    """With nothing but hosts in it."""
    names = {"%s A" % host: ["127.0.0.1"] for host in HOSTS}
    network.world.update(dns=names, https={}, certificates={})
    network.write()
    return network


@pytest.fixture
def person(net, mounts, authority):
    """A person with an address: person.check(), person.world(), person.mount."""
    class Person:
        mount = mounts(start=False, source=ALICE)

        def __init__(self):
            self.environment = {**self.mount.environment, "SSL_CERT_FILE": str(authority.ca)}

        def world(self, srv=None, **pages):
            """`srv`: {"imaps": records}."""
            net.world["dns"].update({SRV[kind]: records for kind, records in (srv or {}).items()})
            net.world["https"].update(pages.get("pages", {}))
            net.write()

        def command(self, *words):
            return net.inside([BINARY, *self.mount.arguments, *words])

        def check(self, *words):
            done = subprocess.run(self.command("--check", *(words or [ALICE])),
                                  env=self.environment, capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, timeout=SLOW, start_new_session=True)
            assert done.stderr == "", done.stderr
            assert not re.search(r"\bsecret\b", done.stdout)
            return Checked(done.returncode, done.stdout)

        def terminal(self, *words):
            return Terminal(self.command(*words), self.environment)

        def passwords(self):
            return net.heard("imap")
    return Person()


def asked_for_records(net):
    return [name for name in net.heard("dns") if name.endswith(" SRV")]


# ---- SRV records

def test_an_srv_record(person, net):
    person.world({"imaps": [[0, 0, 1993, "imap.example.org"]]})
    done = person.check()
    assert done.status == OK, done.text
    mark, text = done.find("address")
    assert mark == "ok" and "imaps://alice%40example.org@imap.example.org:1993" in text
    assert "by an SRV record of example.org" in text
    assert net.heard("https") == [] and net.heard("user") == [ALICE]


def test_starttls_where_nothing_better_is_told(person):
    person.world({"imap": [[0, 0, 143, "imap.example.org"]], "imaps": [[0, 0, 0, "."]]})
    done = person.check()
    assert done.status == OK and "(imap://alice%40example.org@imap.example.org)" in done.text


def test_the_first_by_priority(person):
    person.world({"imaps": [[20, 0, 993, "mail.provider.example"], [10, 0, 993, "imap.example.org"]],
                  "imap": [[0, 0, 143, "imap.example.org"]]})
    done = person.check()
    assert done.status == OK and "(imaps://alice%40example.org@imap.example.org)" in done.text


@pytest.mark.parametrize("records, starttls, chosen", [
    # refused at the first; the next by priority, whichever comes first in the answer
    ([[30, 0, 993, "imap.example.org"], [10, 0, 994, "imap.example.org"],
      [20, 0, 1993, "imap.example.org"]], [], "imaps://%s@imap.example.org:1993"),
    # a name that is not known; among equals those without weight come last (RFC 2782)
    ([[10, 65535, 993, "gone.example.org"], [10, 0, 1993, "imap.example.org"]], [],
     "imaps://%s@imap.example.org:1993"),
    # nothing with TLS from the first byte answers
    ([[10, 0, 994, "imap.example.org"]], [[0, 0, 143, "imap.example.org"]],
     "imap://%s@imap.example.org"),
    # nothing at all does: the first, and the mount says what is wrong with it
    ([[20, 0, 995, "imap.example.org"], [10, 0, 994, "imap.example.org"]], [],
     "imaps://%s@imap.example.org:994"),
    # one target alone is not tried beforehand
    ([[10, 0, 994, "imap.example.org"]], [], "imaps://%s@imap.example.org:994"),
], ids=["priority", "weight", "STARTTLS", "none", "one"])
def test_a_target_that_does_not_answer(person, records, starttls, chosen):
    person.world({"imaps": records, "imap": starttls})
    done = person.check()
    assert "(%s)" % chosen % "alice%40example.org" in done.text, done.text
    assert done.status == (NETWORK if ":994" in chosen else OK), done.text


def test_what_answered_is_kept(person, net):
    """Once found it is the account's server, whatever answers later."""
    records = [[10, 0, 994, "imap.example.org"], [20, 0, 1993, "imap.example.org"]]
    person.world({"imaps": records})
    assert ":1993" in person.check().text
    person.world({"imaps": [[0, 0, 993, "imap.example.org"]]})
    assert ":1993" in person.check().text and not asked_for_records(net)


def test_no_imap_at_all(person, net):
    person.world({"imaps": [[0, 0, 0, "."]], "imap": [[0, 0, 0, "."]]},
                 pages={FILE: {"body": settings(server())}})
    done = person.check()
    step, text = done.failed()
    assert (done.status, step) == (CONFIG, "address") and "offers no IMAP" in text
    assert net.heard("https") == []


def test_another_domain_without_a_terminal(person, net):
    person.world({"imaps": [[0, 0, 993, "mail.provider.example"]]})
    done = person.check()
    step, text = done.failed()
    assert (done.status, step) == (CONFIG, "address")
    line = re.search(r"write (imaps://\S+) instead", text)[1]
    assert line == "imaps://alice%40example.org@mail.provider.example"
    assert person.passwords() == []
    assert person.check(line).status == OK


@pytest.mark.parametrize("host", ["evilexample.org", "example.org.provider.example"])
def test_a_domain_that_only_looks_like_it(person, host):
    person.world({"imaps": [[0, 0, 993, host]]})
    assert person.check().status == CONFIG and person.passwords() == []


def test_another_domain_is_asked_about(person, net):
    person.world({"imaps": [[0, 0, 993, "mail.provider.example"]]})
    for answer in (b"n", b"", b"nyes"):
        terminal = person.terminal("--check", ALICE)
        terminal.read_until(b"Is mail.provider.example the server of your mail? [y/N] ")
        terminal.type(answer)
        assert terminal.end() == CONFIG and person.passwords() == []
    terminal = person.terminal("--check", ALICE)
    terminal.read_until(b"[y/N] ")
    os.write(terminal.fd, b"\x03")
    assert terminal.end() == INTERRUPTED
    terminal = person.terminal("--check", ALICE)
    terminal.read_until(b"[y/N] ")
    terminal.type(b"yes")
    assert terminal.end() == OK
    assert person.check().status == OK  # remembered


def test_what_was_found_stays(person, net):
    """No lookup at the next start; another answer of the DNS changes nothing."""
    person.world({"imaps": [[0, 0, 993, "imap.example.org"]]})
    assert person.check().status == OK
    person.world({"imaps": [[0, 0, 993, "mail.provider.example"]]})
    done = person.check("Alice@Example.org")
    assert done.status == OK and "imap.example.org" in done.find("address")[1]
    assert not asked_for_records(net) and net.heard("https") == []
    file = re.search(r"remove (\S+) to look anew", done.text)[1]
    os.remove(file)
    assert person.check().status == CONFIG


def test_what_did_not_work_is_not_kept(person, net):
    """A port that is closed, a wrong password: the next start looks anew."""
    person.world({"imaps": [[0, 0, 994, "imap.example.org"]]})
    person.mount.path.mkdir(exist_ok=True)
    assert person.check().status == NETWORK
    at = next(n for n, a in enumerate(person.mount.arguments) if "password_command" in a)
    person.mount.arguments[at] = "password_command=echo wrong"
    for port, status in ((994, NETWORK), (993, LOGIN), (1993, LOGIN)):
        person.world({"imaps": [[0, 0, port, "imap.example.org"]]})
        done = subprocess.run(person.command(ALICE, person.mount.path), env=person.environment,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=SLOW)
        assert done.returncode == status, done.stderr
        assert asked_for_records(net), done.stderr
        assert (ALICE in net.heard("user")) == (port != 994)


def test_what_was_found_is_gone(person, net):
    """A mount says that its server is one that was found before, and what to do."""
    person.world({"imaps": [[0, 0, 993, "imap.example.org"]]})
    assert person.check().status == OK
    found = re.search(r"remove (\S+) to look anew", person.check().text)[1]
    net.world["dns"]["imap.example.org A"] = ["127.0.0.2"]  # where nobody is
    person.world()
    done = subprocess.run(person.command(ALICE, person.mount.path), env=person.environment,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=SLOW)
    assert done.returncode == NETWORK, done.stderr
    assert "found before: remove %s to look anew" % found in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_was_found_is_damaged(person):
    person.world({"imaps": [[0, 0, 993, "imap.example.org"]]})
    done = [person.check() for _ in range(2)][-1]
    file = re.search(r"remove (\S+) to look anew", done.text)[1]
    for text in ("", "imaps://", "nonsense\n", "x" * 100000, "imaps://imap.example.org\n"):
        with open(file, "w") as out:
            out.write(text)
        assert "by an SRV record" in person.check().find("address")[1]


def test_the_certificate_is_the_targets(person, net):
    net.world["certificates"] = {"imap.example.org": "example.org"}
    person.world({"imaps": [[0, 0, 993, "imap.example.org"]]})
    done = person.check()
    step, text = done.failed()
    assert (done.status, step) == (NETWORK, "TLS") and "another host name" in text
    assert person.passwords() == []


def test_dns_that_fails(person, net):
    """There may be a settings file still; if nobody at all can be asked, the machine is offline."""
    for answer in ("fails", "silent"):
        net.world["dns"].update({host + " A": ["127.0.0.1"] for host in HOSTS})
        person.world({"imaps": answer, "imap": answer})
        done = person.check()
        step, text = done.failed()
        assert (done.status, step) == (NETWORK, "address"), done.text
        assert "cannot be looked up now" in text and "nor is there a settings file" in text
        assert "try again later" in text
        net.world["dns"].update({host + " A": answer for host in HOSTS})
        person.world()
        done = person.check()
        step, text = done.failed()
        assert (done.status, step) == (NETWORK, "address"), done.text
        assert "cannot be looked up now" in text and "is this machine online?" in text
        assert "settings file" not in text and "imaps://" not in text


def test_a_web_server_out_of_reach(person, net):
    """What is not known yet may be told later: a service is to try again."""
    net.world["dns"]["autoconfig.example.org A"] = ["127.0.0.2"]  # where nobody is
    person.world()
    done = person.check()
    step, text = done.failed()
    assert (done.status, step) == (NETWORK, "address"), done.text
    assert "settings file cannot be fetched now" in text and "autoconfig.example.org" in text
    assert "try again later" in text and "write imaps://USER@HOST" in text


def test_a_domain_that_tells_nothing(person, net):
    done = person.check()
    step, text = done.failed()
    assert (done.status, step) == (CONFIG, "address")
    assert "write imaps://USER@HOST instead" in text
    assert not [n for n in net.heard("dns") if n.split()[0].startswith(("imap.", "mail."))]


@pytest.mark.parametrize("name, spelled", [("exmaple.org MX", True), ("exmaple.org A", True),
                                           ("nobody.test A", False)])
def test_a_domain_that_is_not_there(person, net, name, spelled):
    """No web server and nothing that takes mail: a mistake in the address."""
    net.world["dns"][name] = [[10, "mx.example.org"]] if name.endswith("MX") else ["127.0.0.2"]
    person.world()
    done = person.check("alice@exmaple.org")
    step, text = done.failed()
    assert step == "address" and ("check the spelling" in text) != spelled, done.text
    assert ("write imaps://USER@HOST instead" in text) == spelled


# ---- settings files

@pytest.mark.parametrize("where", [FILE, WELL_KNOWN])
@pytest.mark.parametrize("how", ["", "chunked", "bytewise", "chunked bytewise"])
def test_a_settings_file(person, net, where, how):
    """It may name another domain: who it comes from is proved."""
    person.world(pages={where: {**dict.fromkeys(how.split(), True), "body": settings(
        server(kind="pop3"), server(socket="plain"), server(socket="SSL", user="%EMAILLOCALPART%"),
        server("imap.example.org"))}})
    done = person.check()
    assert done.status == OK, done.text
    text = done.find("address")[1]
    assert "(imaps://alice@mail.provider.example)" in text
    assert "by the settings file of %s" % where.partition("/")[0] in text
    assert net.heard("user") == ["alice"]
    assert net.heard("https")[-1] == where + "?emailaddress=alice%40example.org"


def test_a_file_by_starttls(person):
    person.world(pages={FILE: {"body": settings(server("imap.%EMAILDOMAIN%", 143, "STARTTLS"))}})
    done = person.check()
    assert done.status == OK and "(imap://alice%40example.org@imap.example.org)" in done.text


def test_redirects(person, net):
    person.world(pages={FILE: {"status": 302, "location": "/elsewhere"},
                        "autoconfig.example.org/elsewhere":
                            {"status": 301, "location": "https://www.provider.example/a?b=c"},
                        "www.provider.example/a": {"body": settings(server())}})
    done = person.check()
    assert done.status == OK, done.text
    assert net.heard("https")[-1] == "www.provider.example/a?b=c"


GOOD = settings(server())
HOSTILE = {
    "to http": {"status": 302, "location": "http://autoconfig.example.org/x"},
    "to a file": {"status": 302, "location": "file:///etc/passwd"},
    "in a circle": {"status": 302, "location": "https://" + FILE},
    "to a line's end": {"raw": "HTTP/1.1 302 x\r\nLocation: https://a/b\tc d\r\n\r\n"},
    "an error": {"status": 500, "body": GOOD},
    "no HTTP": {"raw": "* OK IMAP4rev1\r\n\r\n" + GOOD},
    "a head without end": {"raw": "HTTP/1.1 200 OK\r\n" + "X: y\r\n" * 10000},
    "cut": {"raw": "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + GOOD},
    "cut in a chunk": {"raw": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5000\r\n<cl"},
    "a chunk of no size": {"raw": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"},
    "a chunk too big": {"raw": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "ffffffff\r\n" + "x" * 5000},
    "a length too big": {"raw": "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"},
    "too long": {"body": " " * 1000, "times": 1100, "endless": True},
    "deep": {"body": "<a>", "times": 300000},
    "silent": {"silent": True},
    "empty": {"body": ""},
    "no XML": {"body": "<html><body>Welcome<br></body></html>"},
    "bytes": {"raw": "HTTP/1.1 200 OK\r\n\r\n" + "".join(chr(c) for c in range(256))},
    "entities": {"body": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'
                         + settings(server("&b;"))},
    "not closed": {"body": GOOD[:-10]},
    "elsewhere in it": {"body": "<x>%s</x>" % GOOD},
    "no TLS": {"body": settings(server(socket="plain"), server(socket=""))},
    "POP3": {"body": settings(server(kind="pop3"))},
    "no host": {"body": settings(server(""))},
    "a host that is none": {"body": settings(server("a b"), server("a/b"), server("evil@a"),
                                             server("a:1"), server("a" * 600))},
    "a port that is none": {"body": settings(server(port=0), server(port=65536), server(port="x"))},
    "a user that is none": {"body": settings(server(user="a&#10;b"), server(user="x" * 600))},
}


PASSES = ("an error", "cut", "cut in a chunk", "silent")


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file(person, kind):
    person.world(pages={FILE: HOSTILE[kind]})
    done = person.check()
    step, text = done.failed()
    passes = kind in PASSES
    assert (done.status, step) == (NETWORK if passes else CONFIG, "address"), done.text
    assert ("cannot be fetched now (" if passes else "is of no use (") in text
    assert "autoconfig.example.org" in text and person.passwords() == []


def test_a_file_from_an_impostor(person, net):
    net.world["certificates"] = {"autoconfig.example.org": "www.provider.example"}
    person.world(pages={FILE: {"body": GOOD}})
    done = person.check()
    assert done.status == CONFIG and "another host name" in done.failed()[1]
    assert [page for page in net.heard("https") if page.startswith("autoconfig.")] == []


# ---- mounts

def test_two_commands(person, net):
    """What a person does who has an address and a password."""
    person.mount.arguments = []
    person.world({"imaps": [[0, 0, 993, "imap.example.org"]]})
    first = person.terminal("--check", ALICE)
    first.read_until(b"Password of alice@example.org at imap.example.org: ")
    first.type(b"secret")
    assert first.end() == OK, first.shown
    second = person.terminal(ALICE, person.mount.path)
    second.read_until(b"Password of alice@example.org at imap.example.org: ")
    second.type(b"secret")
    assert second.end() == OK, second.shown
    assert b"secret" not in first.shown + second.shown
    try:
        listed = subprocess.run(net.inside(["ls", person.mount.path]), capture_output=True,
                                text=True, timeout=SLOW)
        assert listed.stdout.split() == ["INBOX", "Trash"]
        info = subprocess.run(net.inside(["cat", "/proc/self/mountinfo"]), capture_output=True,
                              text=True).stdout
        assert "fuse.mailmount alice@example.org" in info
    finally:
        subprocess.run(net.inside(["umount", person.mount.path]), check=True)


def test_a_failure_leaves_no_folder(person, net, folder):
    """Where none was named it is made; it goes again, but not what else is in it."""
    home = folder / "home"
    home.mkdir()
    person.environment["HOME"] = str(home)
    person.world({"imaps": [[0, 0, 993, "imap.example.org"]]})
    wrong = ["-o", "password_command=echo wrong", ALICE]
    for before in (False, True):
        if before:
            (home / "Mail").mkdir()
        done = subprocess.run(person.command(*wrong), env=person.environment, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=SLOW)
        assert done.returncode == LOGIN, done.stderr
        assert [file.name for file in home.rglob("Mail*")] == (["Mail"] if before else [])
        assert not (home / "Mail" / ALICE).exists()


@pytest.mark.parametrize("password,status,words", [
    (b"wrong", LOGIN, b"refused to sign in alice@example.org"), (b"", LOGIN, b"no password")])
def test_a_mistyped_password(person, net, password, status, words):
    person.mount.arguments = []
    person.world({"imaps": [[0, 0, 993, "imap.example.org"]]})
    for command in (["--check", ALICE], [ALICE, person.mount.path]):
        terminal = person.terminal(*command)
        terminal.read_until(b"Password of")
        terminal.type(password)
        assert terminal.end() == status and words in terminal.shown, terminal.shown


def test_a_mount_says_what_was_found_once(person, net):
    person.world({"imaps": [[0, 0, 993, "imap.example.org"]]})
    said = []
    for _ in range(2):
        done = subprocess.run(person.command(ALICE, person.mount.path), env=person.environment,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=SLOW)
        assert done.returncode == OK, done.stderr
        subprocess.run(net.inside(["umount", person.mount.path]), check=True)
        said.append(done.stderr)
    assert "the server of alice@example.org is imap.example.org" in said[0], said
    assert len(said[0].splitlines()) == 1 and said[1] == ""


def test_in_the_configuration(person, net, folder):
    """One address that leads nowhere is left out, with a line; the others are mounted."""
    file = folder / "mailmount.conf"
    command = "password_command = echo secret\n"
    file.write_text("[one]\nsource = %s\nuser = al\n%s[two]\nsource = bob@nowhere.example\n%s"
                    % (ALICE, command, command))
    file.chmod(0o600)
    person.mount.arguments = ["-o", "config=%s" % file]
    person.world({"imaps": [[0, 0, 993, "imap.example.org"]]})
    assert person.check("one").status == OK and net.heard("user") == ["al"]
    done = person.check("all")
    assert done.status == CONFIG and "ok" in [m for m, s, _ in done.lines if s == "changes"]
    for source, status in (("two", CONFIG), ("all", CONFIG)):
        done = subprocess.run(person.command(source, person.mount.path), env=person.environment,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=SLOW)
        assert done.returncode == status, done.stderr
        assert len(done.stderr.splitlines()) == 1 and "nowhere.example" in done.stderr
    listed = subprocess.run(net.inside(["ls", person.mount.path]), capture_output=True, text=True)
    subprocess.run(net.inside(["umount", person.mount.path]), check=True)
    assert listed.stdout.split() == ["one"]


def proxied(person, port, *more):
    at = person.mount.arguments.index("-o") + 1
    person.mount.arguments[at] += ",proxy=socks5://127.0.0.1:%d" % port


def test_the_settings_file_through_the_proxy(person, net):
    """The web server is asked by nobody but the proxy."""
    person.world(pages={FILE: {"body": settings(server("imap.example.org"))}})
    proxied(person, 1080)
    text = person.check().text
    assert "by the settings file of autoconfig.example.org" in text, text
    assert net.heard("proxy")[0] == "autoconfig.example.org 443"
    assert not [name for name in net.heard("dns") if name.startswith("autoconfig.")]


def test_no_settings_file_around_the_proxy(person, net):
    person.world(pages={FILE: {"body": settings(server("imap.example.org"))}})
    proxied(person, 1082)  # where nobody is
    step, _ = person.check().failed()
    assert step == "address" and net.heard("https") == []
    assert not [name for name in net.heard("dns") if name.startswith("autoconfig.")]


def test_targets_through_the_proxy(person, net):
    person.world({"imaps": [[10, 0, 993, "mail.example.org"], [20, 0, 993, "imap.example.org"]]})
    proxied(person, 1081)
    person.check()
    assert net.heard("proxy")[0] == "mail.example.org 993"
    assert not [name for name in net.heard("dns") if name.startswith(("mail.", "imap."))]


def test_tls_does_not_go_with_an_address(person):
    done = person.check("-o", "tls=starttls", ALICE)
    assert done.status == CONFIG and "tls= is found out" in done.text
