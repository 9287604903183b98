"""Words of IMAP commands: tokens, sets, quoted strings (RFC 3501, 9)."""
import bisect
import re

TOKEN = re.compile(rb' +|(\()|(\))|"((?:[^"\\]|\\.)*)"|((?:[^\s()\["]|\[[^\]]*\])+)', re.S)


class String(bytes):
    """A quoted string or literal, where an atom would mean something else."""


def tokens(pieces):
    """A command's tokens: atoms are str, strings String, lists list. `pieces` are its lines with
    the literals (String) between them."""
    stack = [[]]
    for piece in pieces:
        if isinstance(piece, String):
            stack[-1].append(piece)
            continue
        at = 0
        while at < len(piece):
            found = TOKEN.match(piece, at)
            if not found:
                stack[-1].append(piece[at:].decode("utf-8", "surrogateescape"))
                break
            at = found.end()
            if found[1]:
                stack.append([])
            elif found[2] and len(stack) > 1:
                inner = stack.pop()
                stack[-1].append(inner)
            elif found[3] is not None:
                stack[-1].append(String(re.sub(rb"\\(.)", rb"\1", found[3])))
            elif found[4]:
                stack[-1].append(found[4].decode("utf-8", "surrogateescape"))
    return stack[0]


def text(token):
    """An atom or string as str."""
    return token.decode("utf-8", "surrogateescape") if isinstance(token, bytes) else token


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_set(word, last):
    """A function that says whether a number is in a sequence set; `*` is `last`."""
    ranges = []
    for piece in word.split(","):
        ends = [last if e == "*" else int(e) for e in piece.split(":")]
        ranges.append((min(ends), max(ends)))
    merged = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(last, merged[-1][1])
        else:
            merged.append([first, last])
    starts = [r[0] for r in merged]

    def inside(number):
        at = bisect.bisect_right(starts, number)
        return at > 0 and number <= merged[at - 1][1]
    return inside


def compact(numbers):
    """The numbers in their order as a set, runs as ranges."""
    runs = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join("%d" % a if a == b else "%d:%d" % (a, b) for a, b in runs)


def fetch_items(word):
    """The items of a FETCH as words; macros spelled out."""
    words = [text(w) for w in word] if isinstance(word, list) else [text(word)]
    macros = {"FAST": ["FLAGS", "INTERNALDATE", "RFC822.SIZE"],
              "ALL": ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"]}
    return macros.get(words[0].upper(), words)
