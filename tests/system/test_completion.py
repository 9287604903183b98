"""Completion as the shells do it: typed at a terminal, or asked of fish."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.mount import BINARY
from lib.shell import Shell

SCRIPTS = BINARY.parent / "dist"
FILES = {"bash": SCRIPTS / "mailmount", "zsh": SCRIPTS, "fish": SCRIPTS / "mailmount.fish"}

CONFIG = """# accounts
[work]
source = imaps://alice@imap.example.org

 [world wide]
source = imaps://alice@imap.example.net
#[none]
"""


@pytest.fixture(scope="module")
def home():
    folder = Path(tempfile.mkdtemp(prefix="mailmount-test-"))
    (folder / ".config/mailmount").mkdir(parents=True)
    (folder / ".config/mailmount/mailmount.conf").write_text(CONFIG)
    (folder / "other.conf").write_text("[elsewhere]\nsource = imaps://a@b\n")
    (folder / "Mailbox").mkdir()
    (folder / "certificate.pem").touch()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["bash", "zsh"])
def shell(request, home):
    with Shell(request.param, FILES[request.param], home) as shell:
        yield shell


@pytest.mark.parametrize("line,words", [
    # flags
    ("mailmount --prefe", ["--prefetch"]),
    ("mailmount --fore", ["--foreground"]),
    # options, after the last comma
    ("mailmount -o umas", ["-o", "umask="]),
    ("mailmount --option umas", ["--option", "umask="]),
    ("mailmount -o ro,xatt", ["-o", "ro,xattr"]),
    ("mailmount -o ro -o xatt", ["-o", "ro", "-o", "xattr"]),
    ("mailmount -f -o ro,timeout=30,xatt", ["-f", "-o", "ro,timeout=30,xattr"]),
    # their values
    ("mailmount -o tls=im", ["-o", "tls=implicit"]),
    ("mailmount -o ro,view=me", ["-o", "ro,view=messages"]),
    ("mailmount -o tls_ca=cert", ["-o", "tls_ca=certificate.pem"]),
    ("mailmount -o ro,cache_dir=Mailb", ["-o", "ro,cache_dir=Mailbox/"]),
    ("mailmount -o timeout=", ["-o", "timeout="]),
    ("mailmount -o nonsense=x", ["-o", "nonsense=x"]),
    # accounts of the configuration, then a directory
    ("mailmount wor", ["wor"]),
    ("mailmount work", ["work"]),
    ("mailmount al", ["all"]),
    ("mailmount -o ro al", ["-o", "ro", "all"]),
    ("mailmount -o config=other.conf elsew", ["-o", "config=other.conf", "elsewhere"]),
    ("mailmount non", ["non"]),
    ("mailmount work Mailb", ["work", "Mailbox/"]),
    ("mailmount work cert", ["work", "cert"]),
    ("mailmount --prefetch Mailb", ["--prefetch", "Mailbox/"]),
    ("mailmount imaps://a@h/ Mailb", ["imaps://a@h/", "Mailbox/"]),
])
def test_typed(shell, line, words):
    assert shell.completed(line) == words


def test_a_space_in_a_name(shell):
    assert shell.completed("mailmount world") == ["world wide"]


def test_without_a_configuration(shell, home):
    config = home / ".config/mailmount/mailmount.conf"
    config.rename(home / "hidden")
    assert shell.completed("mailmount wor") == ["wor"]
    (home / "hidden").rename(config)
    assert shell.completed("mailmount worl") == ["world wide"]


def fish(home, line):
    """What fish offers, without descriptions."""
    script = "source %s; complete -C %s" % (FILES["fish"], '"%s"' % line)
    done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True,
                          cwd=home, stdin=subprocess.DEVNULL, env={
                              "PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"})
    assert not done.stderr, done.stderr
    return sorted(offer.partition("\t")[0] for offer in done.stdout.splitlines())


@pytest.mark.parametrize("line,offers", [
    ("mailmount --prefe", ["--prefetch"]),
    ("mailmount -o umas", ["umask="]),
    ("mailmount -o ro,xatt", ["ro,xattr"]),
    ("mailmount -o tls=im", ["tls=implicit"]),
    ("mailmount -o tls=", ["tls=implicit", "tls=none", "tls=starttls"]),
    ("mailmount -o ro,cache_dir=Mailb", ["ro,cache_dir=Mailbox/"]),
    ("mailmount ", ["all", "work", "world wide"]),
    ("mailmount -o ro ", ["all", "work", "world wide"]),
    ("mailmount -o config=other.conf ", ["all", "elsewhere"]),
    ("mailmount work Mailb", ["Mailbox/"]),
    ("mailmount non", []),
])
def test_fish(home, line, offers):
    assert fish(home, line) == offers


def test_all_options(home):
    """What --help tells of is offered, each with its explanation."""
    told = subprocess.run([BINARY, "--help"], capture_output=True, text=True).stdout
    options = [line.split()[0] for line in told.partition("Options (-o):")[2].splitlines()
               if line.startswith("  ") and line[2] != " "]
    offered = fish(home, "mailmount -o ")
    assert len(options) > 20
    assert offered == sorted(o.partition("=")[0] + o[o.find("="):][:1] if "=" in o else o
                             for o in options)
