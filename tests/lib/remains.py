"""What of a secret is left in a process's memory, where a core dump would have it."""
import base64
import re
import struct
from pathlib import Path

PAGE = 4096


def mappings(pid):
    """(begin, end, whether it can be read, its flags) of each mapping."""
    found, head = [], None
    for line in Path("/proc/%d/smaps" % pid).read_text().splitlines():
        if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) (r?)", line):
            head = int(match[1], 16), int(match[2], 16), bool(match[3])
        elif line.startswith("VmFlags:"):
            found.append((*head, line.split()[1:]))
    return found


def pages(pid, begin, end):
    """Runs of pages that hold something: (address, octets)."""
    with open("/proc/%d/pagemap" % pid, "rb") as pagemap, open("/proc/%d/mem" % pid, "rb") as mem:
        for at in range(begin, end, PAGE << 12):
            upto = min(at + (PAGE << 12), end)
            pagemap.seek(at // PAGE * 8)
            entries = pagemap.read((upto - at) // PAGE * 8)
            there = [entry >> 62 for entry, in struct.iter_unpack("<Q", entries)]
            run = 0
            for number in range(len(there) + 1):
                if number < len(there) and there[number]:
                    run += 1
                elif run:
                    mem.seek(at + (number - run) * PAGE)
                    try:
                        yield at + (number - run) * PAGE, mem.read(run * PAGE)
                    except OSError:
                        pass  # unmapped meanwhile
                    run = 0


def spellings(secret):
    """The secret and what of its base64 is the same wherever it stands in a longer text."""
    found = {secret}
    for shift in range(3):
        octets = base64.b64encode(b"\0" * shift + secret)
        begin = -(-shift * 4 // 3)
        end = (shift + len(secret)) // 3 * 4
        found.add(octets[begin:end])
    return found


def remains(pid, secret):
    """(address, spelling) of each copy that a core dump would have."""
    found, wanted = [], spellings(secret)
    assert all(len(spelling) >= 8 for spelling in wanted)
    for begin, end, readable, flags in mappings(pid):
        if not readable or "dd" in flags or "io" in flags or end - begin > 1 << 40:
            continue
        for at, octets in pages(pid, begin, end):
            found += [(at + match.start(), spelling) for spelling in wanted
                      for match in re.finditer(re.escape(spelling), octets)]
    return found
