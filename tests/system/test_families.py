"""A name with addresses of both families, one of which nothing answers at (RFC 8305)."""
import os
import re
import subprocess

import pytest

from lib.internet import Internet
from lib.mount import BINARY, SLOW

HOST = "imap.example.org"
HERE = {"4": "192.0.2.1", "6": "2001:db8::1"}
LOST = {"4": "192.0.2.77", "6": "2001:db8::77"}
# What goes out to LOST is lost: it leaves, to a neighbour that is none, and nothing comes back.
NETWORK = " && ".join([
    "ip link add name edge type veth peer name void", "ip link set edge up", "ip link set void up",
    "ip addr add %s/24 dev edge" % HERE["4"], "ip -6 addr add %s/64 dev edge nodad" % HERE["6"],
    *("ip neigh add %s lladdr 02:00:00:00:00:77 dev edge nud permanent" % lost
      for lost in LOST.values())])
# which family the resolver puts first (gai.conf(5))
FIRST = {"6": "", "4": "precedence ::ffff:0:0/96 100\n"}
LONG = ["-o", "timeout=600"]  # nothing ends by its own deadline


@pytest.fixture(scope="module", params=["6", "4"])
def lost(request, tmp_path_factory, authority):
    """(network, the family that is lost): the resolver has it first."""
    family = request.param
    other = "46".replace(family, "")
    net = Internet(tmp_path_factory.mktemp("net"), authority, [HOST], NETWORK,
                   {"/etc/gai.conf": FIRST[family]})
    net.world["dns"] = {HOST + " A": [(LOST if family == "4" else HERE)["4"]],
                        HOST + " AAAA": [(LOST if family == "6" else HERE)["6"]]}
    net.world["imap"] = {993: {"tls": "implicit", "host": HERE[other]}}
    with net:
        yield net, family


@pytest.fixture
def person(lost, mounts):
    net, _ = lost
    mount = mounts(start=False, source="imaps://alice@" + HOST, password="secret",
                   ca=net.authority.ca)
    mount.arguments += LONG
    return mount


def attempts(log):
    return re.findall(r"connecting to (\S+): (.*)", log)


def judged(log, family):
    """The lost address was tried first, and the other while nobody knew what becomes of it."""
    other = "46".replace(family, "")
    tried = attempts(log)
    assert tried[:2] == [(LOST[family], "begun"), (HERE[other], "begun")], log


def test_it_is_tried_out(lost, person):
    net, family = lost
    done = subprocess.run(net.inside([BINARY, *person.arguments, "-d", "--check", person.source]),
                          env=person.environment, capture_output=True, text=True, timeout=SLOW,
                          stdin=subprocess.DEVNULL, start_new_session=True)
    assert done.returncode == 0, done.stdout + done.stderr
    judged(done.stderr, family)
    assert re.search("ok +connect +%s, port 993" % HERE["46".replace(family, "")], done.stdout)


@pytest.mark.skipif(os.getuid() != 0, reason="FUSE is not for namespaces of users here")
def test_it_is_mounted(lost, person):
    """And every connection that it makes goes the same way."""
    net, family = lost
    log = person.folder / "families.log"
    with open(log, "w") as out:
        process = subprocess.Popen(
            net.inside([BINARY, *person.arguments, "-d", person.source, person.path]),
            env=person.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        names = []
        while process.poll() is None and names != ["INBOX", "Trash"]:
            names = subprocess.run(net.inside(["ls", person.path]), capture_output=True, text=True,
                                   timeout=SLOW).stdout.split()
        assert process.poll() is None, log.read_text()
        judged(log.read_text(), family)
    finally:
        subprocess.run(net.inside(["umount", person.path]), check=True)
        process.wait(SLOW)
