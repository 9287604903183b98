"""Right bytes: every message of a corpus on real servers, against the servers' own BODY[] and what
is known of the messages. $MAILMOUNT_CORPUS names the folder; its README.md says what is in it.
"""
import collections
import email
import hashlib
import json
import os
import re
import subprocess
import unicodedata
from pathlib import Path

import pytest

CORPUS = Path(os.environ.get("MAILMOUNT_CORPUS", "."))


def sha(data):
    return hashlib.sha256(data).hexdigest()


def lf(data):
    return data.replace(b"\r\n", b"\n")


def corpus_files(name):
    return sorted(p for p in (CORPUS / name).rglob("*") if p.is_file() and p.suffix != ".jsonl"
                  and not p.name.startswith("README"))


def json_lines(path):
    with open(path, encoding="utf-8") as file:
        return {entry["file"]: entry for entry in map(json.loads, file)}


class Delivered:
    """One part of the corpus in a mailbox: {UID: path}, and who was not accepted."""

    def __init__(self, client, name):
        self.name, self.mailbox = name, name
        self.files, self.bodies, self.refused = {}, {}, {}
        client.command(b'CREATE "%s"' % name.encode())
        uid = 0
        for path in corpus_files(name):
            data = path.read_bytes()
            refusal = client.append(name.encode(), data)
            if refusal and b"\n" in data.replace(b"\r\n", b""):
                refusal = client.append(name.encode(), lf(data).replace(b"\n", b"\r\n"))
            if refusal:
                self.refused[path] = refusal
            else:
                uid += 1
                self.files[uid] = path
        for uid, body in client.bodies(name.encode()):
            self.bodies[uid] = body


@pytest.fixture(scope="module")
def delivered(server):
    user = "corpus"
    server.add_user(user)
    with server.client(user) as client:
        return {name: Delivered(client, name) for name in ("dev", "torture")}


@pytest.fixture
def mounted(server, delivered, mounts):
    return mounts(server, user="corpus")


def entries(folder):
    """{UID: name without .eml}."""
    names = os.listdir(folder)
    directories = {n for n in names if n.endswith("]")}
    messages = {n[:-4] for n in names if n.endswith("].eml")}
    assert directories == messages
    return {int(n[n.rindex("[") + 1:-1]): n for n in directories}


def leaves(folder):
    """The leaf parts below a message's directory: no headers.txt, no message that is shown as a
    directory too."""
    found = []
    for _, directories, files, fd in os.fwalk(folder):
        directories.sort()
        for name in sorted(files):
            if name != "headers.txt" and not (name.endswith(".eml") and name[:-4] in directories):
                with open(os.open(name, os.O_RDONLY, dir_fd=fd), "rb") as file:
                    found.append((file.read(), name))
    return found


def python_leaves(data):
    """What Python's email package decodes: {sha256 of the decoded bytes: part}."""
    try:
        message = email.message_from_bytes(data)
        return {sha(part.get_payload(decode=True) or b""): part for part in message.walk()
                if not part.is_multipart()}
    except Exception:
        return {}


def iconv(raw, charset):
    done = subprocess.run(["iconv", "-f", charset, "-t", "utf-8"], input=raw, capture_output=True)
    return done.stdout if done.returncode == 0 else None


def texts(raw, part):
    """The contents that an unnamed text may have: UTF-8 with LF."""
    try:
        charset = str(part.get_content_charset() or "us-ascii").strip()
    except Exception:
        charset = "us-ascii"
    found = set()
    if charset == "us-ascii":
        try:
            raw.decode()
            found.add(raw)
        except UnicodeDecodeError:
            found.add(raw.decode("windows-1252", "replace").encode())
    else:
        try:
            found.add(raw.decode(charset, "replace").encode("utf-8", "replace"))
        except (LookupError, ValueError, UnicodeError):
            pass
        found.add(iconv(raw, charset) or raw)
    return {plain(text) for text in found or {raw}}


def plain(text):
    """For comparing texts: without a BOM, composed, and as many U+FFFD for a bad sequence as any
    converter likes."""
    text = lf(text).decode("utf-8", "replace").replace("\ufeff", "")
    return unicodedata.normalize("NFC", re.sub("\ufffd+", "\ufffd", text))


def take(left, hashes):
    """Takes a file with one of these hashes away from `left`, {hash: contents}."""
    for key in hashes:
        if left.get(key):
            content = left[key].pop()
            for other in {sha(content), sha(lf(content))} - {key}:
                if content in left.get(other, ()):
                    left[other].remove(content)
            return True
    return False


def take_text(left, leaf, part):
    """The same for an unnamed text, whose line ends and charset are converted. `part`: what Python
    makes of it, None if it finds other bytes; then it must be ASCII."""
    wanted = texts(part.get_payload(decode=True) or b"", part) if part else ()
    return take(left, [key for key, contents in left.items() if any(
        plain(content) in wanted or
        not part and leaf["sha256"] in (sha(content), sha(content.replace(b"\n", b"\r\n")))
        for content in contents)])


def compare(expected, data, found, exact):
    """None if the files are what is expected, else a word for what differs."""
    if len(expected) != len(found):
        return "count: %d instead of %d" % (len(found), len(expected))
    known = python_leaves(data)
    left = collections.defaultdict(list)
    for content, _ in found:
        for key in {sha(content)} if exact else {sha(content), sha(lf(content))}:
            left[key].append(content)
    # named parts first: an unnamed text may have the same bytes before it is converted
    for leaf in sorted(expected, key=lambda leaf: leaf.get("name") is None):
        part = known.get(leaf["sha256"])
        text = leaf.get("name") is None and leaf["type"].startswith("text/")
        if not (text and take_text(left, leaf, part)
                or not (text and exact) and take(left, [leaf["sha256"], leaf.get("sha256_lf")])):
            return "bytes: leaf %s (%s)" % (leaf.get("path"), leaf["type"])
    return None


@pytest.mark.parametrize("name", ["dev", "torture"])
def test_messages(mounted, delivered, server, name):
    """Each accepted message is listed, and its .eml is the server's BODY[]."""
    part = delivered[name]
    print("\n%s, %s: %d accepted, %d refused" % (server.name, name, len(part.files),
                                                 len(part.refused)))
    folder = mounted.path / part.mailbox
    names = entries(folder)
    assert sorted(names) == sorted(part.files) == sorted(part.bodies)
    wrong = [str(part.files[uid]) for uid, entry in names.items()
             if (folder / (entry + ".eml")).read_bytes() != part.bodies[uid]]
    assert not wrong
    with open(folder / (names[1] + ".eml"), "rb") as file:
        assert file.read(10) == part.bodies[1][:10]


def test_truth(mounted, delivered, server):
    """The leaves of each message of which one reading is right."""
    part = delivered["torture"]
    truth = json_lines(CORPUS / "torture/truth.jsonl")
    folder = mounted.path / part.mailbox
    names = entries(folder)
    counts, wrong = collections.Counter(), []
    for uid, path in part.files.items():
        fact = truth[path.name]
        data = path.read_bytes()
        found = leaves(folder / names[uid])
        if fact["verdict"] != "exact":
            counts["open"] += 1
        elif part.bodies[uid] != data:
            counts["changed by the server"] += 1
        else:
            problem = compare(fact["leaves"], data, found, True)
            counts["wrong" if problem else "right"] += 1
            if problem:
                wrong.append("%s: %s" % (path.name, problem))
    print("\n%s, truth: %s" % (server.name, dict(counts)))
    print("\n".join(wrong))
    assert not wrong
    assert counts["right"] > 200


def test_opinion(mounted, delivered, server):
    """How often Python's email package agrees, and where it does not, why that is in doubt."""
    part = delivered["dev"]
    opinions = json_lines(CORPUS / "expect-dev.jsonl")
    folder = mounted.path / part.mailbox
    names = entries(folder)
    counts, kinds, list_ = collections.Counter(), collections.Counter(), []
    for uid, path in part.files.items():
        file = str(path.relative_to(CORPUS / "dev"))
        opinion = opinions[file]
        data = path.read_bytes()
        found = leaves(folder / names[uid])
        tree = opinion["trees"]["compat32"]
        if lf(part.bodies[uid]) != lf(data) or tree is None:
            counts["not comparable"] += 1
            continue
        expected = [node for node in tree if "n" not in node and "sha256" in node]
        problem = compare(expected, data, found, False)
        counts["disagrees" if problem else "agrees"] += 1
        if problem:
            kinds[" ".join(opinion["dubious"]) or "not in doubt"] += 1
            list_.append("%s: %s [%s]" % (file, problem, " ".join(opinion["dubious"])))
    print("\n%s, Python's opinion: %s" % (server.name, dict(counts)))
    for kind, count in kinds.most_common():
        print("  %4d %s" % (count, kind))
    if os.environ.get("MAILMOUNT_CORPUS_LIST"):
        print("\n".join(list_))
    assert counts["agrees"] > counts["disagrees"]


def test_the_mount_is_well_afterwards(mounted, delivered):
    """Everything of everything, once more, in another order and cold, in one mount: nothing ends,
    fails or is cut short."""
    worker, files = mounted.worker(), 0
    for name, part in delivered.items():
        names = entries(mounted.path / name)
        assert names.keys() == part.bodies.keys()
        for uid, entry in sorted(names.items(), reverse=True):
            for folder, _, found in os.walk(mounted.path / name / entry, onerror=fail):
                assert "headers.txt" in found, folder
                files += len(found)
                for file in found:
                    check_complete(os.path.join(folder, file))
            assert (mounted.path / name / (entry + ".eml")).read_bytes() == part.bodies[uid]
    assert files > sum(len(part.bodies) for part in delivered.values())
    assert mounted.worker() == worker
    status = (mounted.path / ".mailmount/status").read_text()
    assert "online" in status, status


def fail(problem):
    raise problem


def check_complete(path):
    with open(path, "rb") as file:
        assert len(file.read()) == os.fstat(file.fileno()).st_size, path
