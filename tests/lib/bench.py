"""The measurements of tests/bench."""
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib import bench_changes, bench_ends, bench_live, bench_trips, servers  # noqa: E402
from lib.client import Client  # noqa: E402
from lib.mount import Mount  # noqa: E402
from lib.proxy import Proxy  # noqa: E402
from lib.soak import Soak  # noqa: E402

NAMES = ("Alice Smith", "Bob Jones", "Jürgen Müller", "Иван Петров", "Carol White")
FETCH = (b"UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM "
         b"SENDER TO CC SUBJECT MESSAGE-ID IN-REPLY-TO REFERENCES LIST-ID MIME-VERSION "
         b"CONTENT-TYPE CONTENT-TRANSFER-ENCODING)])")


def letter(number):
    who = NAMES[number % len(NAMES)]
    return ("From: %s <u%d@example.org>\r\nTo: <alice@example.org>\r\nSubject: Letter %d about "
            "topic %d\r\nDate: Sat, %d Mar 2025 09:%02d:%02d +0000\r\n"
            "Message-ID: <%d.bench@example.org>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            "This is letter %d.\r\n" % (who, number, number, number % 97, 1 + number % 28,
                                        number // 60 % 60, number % 60, number, number)).encode()


def fill(server, user, count):
    """Writes a Maildir: a hundred times as fast as APPEND."""
    folder = server.maildir(user)
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        raw = letter(number)
        path = folder / "cur" / ("%d.M%d.bench,S=%d,W=%d:2,S" % (1700000000 + number, number,
                                                                len(raw), len(raw)))
        path.write_bytes(raw)
        os.utime(path, (1740000000 + number, 1740000000 + number))
    if os.getuid() == 0:
        owner = ":".join(servers.service_user())
        subprocess.run(["chown", "-R", owner, server.folder / "mail"], check=True)


def timed(action):
    started = time.monotonic()
    action()
    return time.monotonic() - started


def row(name, value, unit="s", note=""):
    print("%-46s %10.2f %-4s %s" % (name, value, unit, note), flush=True)


def memory(pid):
    """(VmRSS, RssAnon, VmHWM) in MiB."""
    fields = dict(line.split(":", 1) for line in
                  Path("/proc/%d/status" % pid).read_text().splitlines())
    return [int(fields[k].split()[0]) / 1024 for k in ("VmRSS", "RssAnon", "VmHWM")]


def run(*command):
    return timed(lambda: subprocess.run([str(c) for c in command], check=True,
                                        stdout=subprocess.DEVNULL))


def fetch_floor(port, user):
    """What the same listing costs a client that reads and forgets."""
    with Client(port, user) as client:
        client.command(b"EXAMINE INBOX")
        tag = client.send(FETCH)
        client.file.close()
        tail = b""

        def drain():
            nonlocal tail
            while (b"\r\n" + tag + b" OK") not in tail:
                data = client.socket.recv(1 << 18)
                if not data:
                    raise RuntimeError("the server closed the connection")
                tail = tail[-200:] + data
        return timed(drain)


def tmpfs_floor(names):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for name in names:
            open(os.path.join(folder, name), "w").close()
        return min(run("ls", "-f", folder) for _ in range(3)), min(
            run("ls", folder) for _ in range(3)), run("find", folder)


def bench(count, folder):
    user = "bench"
    with servers.Dovecot(very_dirty=True) as server:
        row("filling the mailbox", timed(lambda: fill(server, user, count)), note="%d" % count)
        with server.client(user) as client:
            row("the server's own index", timed(lambda: client.command(b"EXAMINE INBOX")))
            client.command(b"FETCH 1:* (RFC822.SIZE INTERNALDATE)")
        fetch_floor(server.imap_port, user)
        floor = min(fetch_floor(server.imap_port, user) for _ in range(3))
        row("floor: the bare FETCH", floor)
        mount = Mount(folder, server, user=user, tls="none")
        with mount:
            inbox = mount.path / "INBOX"
            first = run("ls", "-f", inbox)
            row("first ls -f", first, note="%.2f x the bare FETCH (at most 2)" % (first / floor))
            row("second ls -f", run("ls", "-f", inbox))
            rss, anon, peak = memory(mount.worker())
            row("memory after it: RSS", rss, "MiB", "RssAnon %.1f (below 64), peak RSS %.1f"
                % (anon, peak))
            names = os.listdir(inbox)
        with mount:
            again = run("ls", "-f", inbox)
            second = run("ls", "-f", inbox)
            plain, rest = run("ls", inbox), run("find", mount.path)
            long = run("ls", "-l", inbox)
            rss, anon, peak = memory(mount.worker())
        ls_f, ls, find = tmpfs_floor(names)
        row("floor: ls -f of %d names on tmpfs" % len(names), ls_f)
        row("ls -f after a remount", again, note="%.1f x tmpfs (at most 4)" % (again / ls_f))
        row("ls -f once more", second, note="%.1f x tmpfs" % (second / ls_f))
        row("ls", plain, note="%.1f x tmpfs" % (plain / ls))
        row("find, which enters every message", rest, note="%.1f x tmpfs" % (rest / find))
        row("ls -l", long)
        row("memory: RSS", rss, "MiB", "RssAnon %.1f, peak RSS %.1f" % (anon, peak))
        with Mount(folder, server, user=user, tls="none", options=["view=messages"]) as mount:
            row("find with view=messages", run("find", mount.path))
        rtt(server, user, folder)


def rtt(server, user, folder):
    with Proxy(server.imap_port, rtt=0.05) as proxy:
        with Mount(folder / "far", server, user=user, tls="none", port=proxy.port) as mount:
            before = proxy.traffic()
            took = run("ls", "-f", mount.path / "INBOX")
            seen = proxy.traffic() - before
            row("first ls -f at 50 ms", took, note="%d round trips, %.1f MB" % (
                seen.trips, seen.down / 1e6))


def soak(minutes):
    """A plain build is held to less growth: what a sanitizer keeps is not there. One server after
    the other, whatever becomes of the first; the status is 1 if anything went wrong."""
    failed = []
    for kind in (servers.Dovecot, servers.Cyrus):
        with kind() as server, tempfile.TemporaryDirectory(prefix="mailmount-soak-") as folder:
            print("%s, %d minutes" % (server.name, minutes), flush=True)
            server.add_user("soak")
            one = Soak(server, "soak", folder, seconds=60 * minutes, growth=8)
            try:
                one.run()
                print(one.summary(), flush=True)
            except AssertionError as problem:
                print("failed: %s" % problem, flush=True)
                failed.append(server.name)
    if failed:
        sys.exit("failed: " + ", ".join(failed))


def main():
    if sys.argv[1:2] == ["soak"]:
        soak(int(sys.argv[2]) if len(sys.argv) > 2 else 30)
        return
    if sys.argv[1:2] == ["live"]:
        with tempfile.TemporaryDirectory(prefix="mailmount-bench-") as folder:
            bench_live.bench(folder, letter, row)
        return
    if sys.argv[1:2] == ["ends"]:
        with tempfile.TemporaryDirectory(prefix="mailmount-bench-") as folder:
            bench_ends.bench(folder, letter, row)
        return
    only = sys.argv[1:2] == ["trips"]
    counts = sys.argv[2:] if only else sys.argv[1:]
    count = int(counts[0]) if counts else 100_000
    with tempfile.TemporaryDirectory(prefix="mailmount-bench-") as folder:
        bench_trips.bench(Path(folder) / "trips", count, fill, letter, row)
        if only:
            return
        bench_ends.bench(Path(folder) / "ends", letter, row)
        bench_live.bench(Path(folder) / "live", letter, row)
        bench(count, Path(folder))
        bench_changes.bench(Path(folder) / "changes", fill, row)


if __name__ == "__main__":
    main()
