"""The tour of tests/demo: a private server, a mount of it in build/demo, commands that look at it."""
import shutil
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib import mail, servers  # noqa: E402
from lib.mount import Mount, mounted  # noqa: E402

TOP = Path(__file__).resolve().parents[2]
FOLDER = TOP / "build" / "demo"

TOUR = [
    ("The account's folders are directories:", "ls mail"),
    ("Each message is a file, NAME.eml, and beside it a directory with its parts:",
     "ls mail/INBOX | tail -n 12"),
    ("What is in a message? Its text, its HTML, its attachments:",
     "ls -l mail/INBOX/*logo\\ and\\ report*]"),
    ("Header fields, decoded:", "cat mail/INBOX/*logo\\ and\\ report*]/headers.txt"),
    ("Text in any charset is UTF-8 here (this one was sent as KOI8-R):",
     "cat mail/INBOX/*Привет*]/body.txt"),
    ("The .eml is the message itself, octet for octet:",
     "head -n 5 mail/INBOX/*Lunch_*].eml"),
    ("Attachments are ordinary files:",
     "file mail/INBOX/*logo\\ and\\ report*]/*.p[nd]*"),
    ("A message in a message, and one in that:", "find mail/INBOX/*Fwd*] | sort"),
    ("Search with what you have:", "grep -rl needle mail --include='*.txt'"),
    ("Folders below folders, in any script:", "ls -R mail/Projekte mail/日本語"),
    ("How is the connection?", "cat mail/.mailmount/status"),
]


def say(text=""):
    print(text, flush=True)


def show(comment, command):
    say("\n# " + comment)
    say("$ " + command)
    status = subprocess.run(["sh", "-c", command], cwd=FOLDER, stdin=subprocess.DEVNULL).returncode
    if status:
        raise RuntimeError("%r ended with status %d" % (command, status))


def command_line(mount):
    words = []
    for word in mount.command:
        word = word.replace(str(TOP) + "/", "")
        words.append("'%s'" % word if " " in word else word)
    return " ".join(words)


def tour(stay):
    if mounted(FOLDER / "mail"):
        raise RuntimeError("%s is mounted: another demo runs, or umount it" % (FOLDER / "mail"))
    shutil.rmtree(FOLDER, ignore_errors=True)
    say("Starting a mail server of our own with sample mail")
    with servers.Dovecot() as server:
        with server.client() as client:
            mail.deliver(client, mail.sample_messages())
        mount = Mount(FOLDER, server)
        say("\n# The account is mounted with one command:")
        say("$ " + command_line(mount))
        with mount:
            for comment, command in TOUR:
                show(comment, command)
            if stay:
                say("\nIt is mounted at %s: look around from another terminal." % mount.path)
                say("Ctrl-C ends the demo.")
                signal.pause()
    say("\nUnmounted; the server is stopped.")


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    stay = "--exit" not in sys.argv[1:]
    try:
        tour(stay)
    except KeyboardInterrupt:
        say("\nUnmounted; the server is stopped.")
        return 0 if stay else 130
    except (AssertionError, RuntimeError, OSError) as problem:
        print("demo: %s" % problem, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
