"""Fixtures: servers that last the whole run, sample mail, mounts that must end cleanly."""
import faulthandler
import hashlib
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib import (  # noqa: E402
    authservers, cutter, kerberos, mail, mount, plainserver, proxy, scripted, servers, tls)

# a shell's background jobs ignore SIGINT, and hand that on to the readers which tests interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

# the corpus is not the project's: .ci/run says where it is
collect_ignore = [] if os.environ.get("MAILMOUNT_CORPUS") else ["test_corpus.py"]
if not os.environ.get("MAILMOUNT_TEST_THREADS"):
    collect_ignore.append("test_threads.py")
if not os.environ.get("MAILMOUNT_TEST_PACKAGE"):
    collect_ignore.append("test_package.py")
if os.getuid():
    collect_ignore += ["test_install.py", "test_user.py"]


HANGS = 1200  # seconds after which a test is not slow, but waits for what never comes


@pytest.fixture(autouse=True)
def hang_guard():
    """Says where a test hangs, and ends the mounts it waits for: then it fails, and the others run.
    """
    def end_it():
        sys.stderr.write("This test hangs.\n")
        faulthandler.dump_traceback(sys.__stderr__)
        mount.say_where_they_hang(sys.stderr)
    timer = threading.Timer(HANGS, end_it)
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()


def can_mount():
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
        return True
    except OSError:
        return False


def pytest_collection_modifyitems(items):
    if not can_mount():
        for item in items:
            item.add_marker(pytest.mark.skip(reason="/dev/fuse cannot be opened here"))


@pytest.fixture(scope="session")
def dovecot():
    with servers.Dovecot() as server:
        yield server


@pytest.fixture(scope="session")
def cyrus():
    with servers.Cyrus() as server:
        yield server


@pytest.fixture(scope="session", params=["dovecot", "cyrus"])
def server(request):
    """Each of the real servers in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def full_dovecot():
    """With an Archive, quota and rights."""
    with servers.Dovecot(special=(*servers.SPECIAL, "Archive"), quota=True, acl=True) as server:
        yield server


@pytest.fixture(scope="session")
def full_cyrus():
    with servers.Cyrus(special=(*servers.SPECIAL, "Archive")) as server:
        yield server


@pytest.fixture(scope="session")
def realm():
    """A Kerberos realm with alice in it, without a ticket."""
    with kerberos.Realm() as made:
        made.principal("alice")
        yield made


@pytest.fixture(scope="session")
def auth_dovecot(realm):
    """With every mechanism."""
    with authservers.AuthDovecot(realm) as server:
        yield server


@pytest.fixture(scope="session")
def auth_cyrus(realm):
    with authservers.AuthCyrus(realm) as server:
        yield server


def full_plain(capabilities):
    return plainserver.PlainServer({name: [] for name in (*servers.SPECIAL, "Archive")},
                                   capabilities)


@pytest.fixture
def bare_plain():
    """IMAP4rev1 and nothing else: no MOVE, no UIDPLUS, literals that wait, no CONDSTORE."""
    with full_plain(()) as server:
        yield server


@pytest.fixture
def usual_plain():
    with full_plain((*plainserver.USUAL, "QUOTA", "ACL")) as server:
        yield server


@pytest.fixture(params=["full_dovecot", "full_cyrus", "bare_plain", "usual_plain"])
def full_server(request, user):
    """Each kind of server in turn, for tests that change mail; `user` is welcome there."""
    server = request.getfixturevalue(request.param)
    server.add_user(user)
    return server


@pytest.fixture(scope="session")
def messages():
    return mail.sample_messages()


@pytest.fixture(scope="session")
def authority():
    folder = tempfile.mkdtemp(prefix="mailmount-tls")
    yield tls.Authority(folder)
    shutil.rmtree(folder)


_sampled = set()


@pytest.fixture
def sample(server, messages):
    """A server on which alice has the sample mail."""
    if server not in _sampled:
        with server.client() as client:
            mail.deliver(client, messages)
        _sampled.add(server)
    return server


@pytest.fixture
def dovecot_sample(dovecot, messages):
    """The same, only on Dovecot."""
    if dovecot not in _sampled:
        with dovecot.client() as client:
            mail.deliver(client, messages)
        _sampled.add(dovecot)
    return dovecot


@pytest.fixture
def user(request):
    """A user's name that no other test has."""
    return "u" + hashlib.sha1(request.node.nodeid.encode()).hexdigest()[:12]


@pytest.fixture
def folder():
    """A short path of the test's own."""
    path = Path(tempfile.mkdtemp(prefix="mailmount-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Mounts:
    """Makes mounts; ends and checks them all, and that no flag was changed by them."""

    def __init__(self, folder):
        self.folder, self.made, self.flags = folder, [], {}

    def __call__(self, server=None, start=True, name=None, writes=False, **options):
        """A mount that runs (unless not to `start`), and may change mail if it `writes`. See
        lib.mount.Mount."""
        user = options.get("user", "alice")
        if isinstance(server, plainserver.PlainServer):
            options.setdefault("tls", "none")
        if isinstance(server, servers.Server) and not writes and (
                server, user) not in self.flags:
            with server.client(user) as client:
                self.flags[server, user] = client.flags()
        if isinstance(server, scripted.Scripted):
            options.setdefault("tls", "none")
            options["port"] = server.port
            if not writes:
                self.flags.setdefault(server, None)
            server = None
        made = mount.Mount(self.folder / (name or "m%d" % len(self.made)), server, **options)
        self.made.append(made)
        return made.__enter__() if start else made

    def finish(self):
        problems = []
        for made in self.made:
            try:
                if mount.mounted(made.path) or made.processes():
                    made.unmount()
                assert not made.report(), made.report()
            except AssertionError as problem:
                problems.append(str(problem))
        for key, before in self.flags.items():
            if isinstance(key, scripted.Scripted):
                problems += ["it sent: " + c for c in key.commands if changes_mail(c)]
                continue
            with key[0].client(key[1]) as client:
                after = client.flags()
            for mailbox, flags in before.items():
                for uid, value in flags.items():
                    if after.get(mailbox, {}).get(uid, value) != value:
                        problems.append("flags of %s %d were %s, are %s" % (
                            mailbox, uid, value, after[mailbox][uid]))
        if problems:
            logs = "\n".join(m.log.read_text()[-3000:] for m in self.made if m.log.exists())
            pytest.fail("\n".join(problems) + "\nlog:\n" + logs)


def changes_mail(command):
    return re.search(r"\b(STORE|EXPUNGE|CLOSE|SELECT|DELETE|APPEND|COPY|MOVE)\b|BODY\[|RFC822 ",
                     command, re.I)


@pytest.fixture
def mounts(folder, through, cutting):  # a proxy outlives the mounts on it
    made = Mounts(folder)
    yield made
    made.finish()


@pytest.fixture
def signing_in(mounts, realm):
    """signing_in(server, mechanism, ...): a mount that is to sign in so, not started yet."""
    def make(server, mechanism, tls="implicit", port=None, options=(), **more):
        port = port or (server.imaps_port if tls == "implicit" else server.imap_port)
        leaks = mount.FORGETFUL_MODULES.get(mechanism, {})
        return mounts(start=False, port=port, ca=server.ca, tls=tls,
                      options=["auth=" + mechanism, *options],
                      environment={**realm.environment, **leaks}, **more)
    return make


@pytest.fixture
def through():
    """through(server, rtt=...): a proxy in front of a server's plain port."""
    open_ = []

    def make(server, **options):
        port = getattr(server, "imap_port", None) or server.port
        open_.append(proxy.Proxy(port, **options).__enter__())
        return open_[-1]
    yield make
    for each in open_:
        each.__exit__()


@pytest.fixture
def cutting():
    """cutting(server): a cutter in front of a server's plain port."""
    open_ = []

    def make(server, **options):
        open_.append(cutter.Cutter(server.imap_port, **options).__enter__())
        return open_[-1]
    yield make
    for each in open_:
        each.__exit__()
