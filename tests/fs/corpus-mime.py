#!/usr/bin/python3
"""corpus-mime.py TOOL: compares our view of the messages in $MAILMOUNT_CORPUS/torture with truth.jsonl.

For each message whose verdict is "exact": how many leaves there are, their decoded bytes, the names of their files
(by the rules of mailmount-tree(7), written anew here), and what unnamed text is converted to. Exit 77 without a corpus.
"""
import base64, collections, hashlib, json, os, re, subprocess, sys, unicodedata

LEAF, TEXT, HTML = 0, 2, 4
KEYS = 'number parent kind flags encoding octets name section type charset'.split()
# Messages whose truth cannot be met, and why.
KNOWN = {}


def nodes_of(tool, paths):
    """{path: [node]} as the tool sees the messages."""
    out, result = [], {}
    for i in range(0, len(paths), 100):
        out += subprocess.run([tool] + paths[i:i + 100], check=True, stdout=subprocess.PIPE).stdout.split(b'\n')
    for line in out:
        if line.startswith(b'file '):
            nodes = result[os.fsdecode(line[5:])] = []
        elif line:
            fields = line.split(b'\t')
            node = dict(zip(KEYS, (f.decode('utf-8', 'replace') for f in fields)))
            for key in ('number', 'parent', 'kind', 'flags'):
                node[key] = int(node[key])
            if node['kind'] == LEAF:
                node['raw'], node['shown'] = (base64.b64decode(f) for f in fields[10:12])
            nodes.append(node)
    return result


FORBIDDEN = re.compile('[\x00-\x1f"*/:<>?\\\\|\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f'
                       '\ufdd0-\ufdef\ufeff\ufffe\uffff\ufff9-\ufffb\U000e0000-\U000e007f]')


def safe_name(wanted):
    """The file name of a part; None: it has none; 'long' names are not compared."""
    name = unicodedata.normalize('NFC', re.split(r'[/\\]', wanted)[-1])
    name = FORBIDDEN.sub('_', name).strip()
    if not name:
        return None
    if re.match(r'(?i)(con|prn|aux|nul|com\d|lpt\d)\s*(\.|$)', name):
        name = '_' + name
    name = re.sub(r'^[.-]', '_', name)
    return re.sub(r'\.$', '_', name)


def same_name(name, wanted):
    """Whether a directory entry is the safe name, perhaps cut or with a number."""
    safe = safe_name(wanted)
    if safe is None:
        return re.match(r'(part-\d+\.|body)', name)
    if len(safe.encode()) > 180:
        return len(name.encode()) <= 200 and name[:40] == safe[:40]
    return re.sub(r' \(\d+\)', '', name) == re.sub(r' \(\d+\)', '', safe)


def decoded_text(raw, charset):
    """Unnamed text as it shall be shown; None: not known here."""
    charset = {'big5-hkscs': 'big5hkscs', 'ks_c_5601-1987': 'euc_kr', 'iso-2022-jp-2': 'iso2022_jp_2',
               'macintosh': 'mac_roman', 'ibm850': 'cp850', 'ibm866': 'cp866'}.get(charset.lower(), charset)
    if charset.lower() in ('', 'us-ascii'):
        try:
            return raw.decode('utf-8')
        except UnicodeDecodeError:
            return raw.decode('cp1252', 'replace')
    try:
        return raw.decode(charset, 'replace')
    except LookupError:
        return None


def differences(truth, nodes):
    leaves = [n for n in nodes if n['kind'] == LEAF]
    if len(leaves) != len(truth['leaves']):
        yield f"{len(leaves)} leaves, not {len(truth['leaves'])}"
        return
    for want, leaf in zip(truth['leaves'], leaves):
        if (len(leaf['raw']), hashlib.sha256(leaf['raw']).hexdigest()) != (want['size'], want['sha256']):
            yield f"part {want['path']}: {len(leaf['raw'])} other bytes, not {want['size']}"
        if leaf['type'] != want['type'] and len(want['type']) < 200:
            yield f"part {want['path']}: {leaf['type']}, not {want['type']}"
        if leaf['section'] != want['path']:
            yield f"part {want['path']}: is section {leaf['section']}"
        if want['name'] is not None and not same_name(leaf['name'], want['name']):
            yield f"part {want['path']}: named {leaf['name']!r}, not as {want['name']!r}"
        if leaf['flags'] & TEXT:
            text = decoded_text(leaf['raw'], leaf['charset'])
            shown = leaf['shown'].decode('utf-8', 'strict') if text is not None else None
            if text is not None and leaf['flags'] & HTML and not shown.startswith('\ufeff'):
                yield f"part {want['path']}: HTML without a byte order mark"
            if text is not None and unicodedata.normalize('NFC', shown.lstrip('\ufeff')) != \
                    unicodedata.normalize('NFC', text.replace('\r\n', '\n').lstrip('\ufeff')):
                yield f"part {want['path']}: text in {leaf['charset']} converted otherwise"
        elif leaf['shown'] != leaf['raw']:
            yield f"part {want['path']}: not its exact bytes"


def main():
    corpus = os.environ.get('MAILMOUNT_CORPUS')
    if not corpus or not os.path.exists(corpus + '/torture/truth.jsonl'):
        sys.exit(77)
    with open(corpus + '/torture/truth.jsonl', encoding='ascii') as file:
        truths = [json.loads(line) for line in file]
    seen = nodes_of(sys.argv[1], [f"{corpus}/torture/{t['file']}" for t in truths])
    count, bad = collections.Counter(), 0
    for truth in truths:
        count[truth['verdict']] += 1
        if truth['verdict'] != 'exact':
            continue
        found = list(differences(truth, seen[f"{corpus}/torture/{truth['file']}"]))
        if found and truth['file'] not in KNOWN:
            bad += 1
            print(truth['file'], '; '.join(found[:4]))
        elif not found and truth['file'] in KNOWN:
            bad += 1
            print(truth['file'], 'agrees now: take it out of KNOWN')
    print(f"{count['exact'] - bad} of {count['exact']} exact messages agree, {count['open']} are open")
    sys.exit(bad != 0)


main()
