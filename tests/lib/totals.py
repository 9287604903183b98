"""Adds up what tests said: meson's testlog.json, pytest's JUnit XML, and lists of steps.

    totals.py [--may-skip] FILE...

A list of steps has lines "passed NAME" or "failed NAME". Prints what failed or was skipped, then
alone on the last line "N passed, N failed, N skipped". Ends 1 if anything failed, or was skipped
without --may-skip, or if nothing was tested.
"""
import json
import sys
import xml.etree.ElementTree as xml

MESON = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}


def read_meson(path):
    for line in open(path):
        test = json.loads(line)
        yield test["name"], MESON.get(test["result"], "failed")


def read_junit(path):
    for case in xml.parse(path).iter("testcase"):
        kinds = {child.tag for child in case}
        result = "failed" if kinds & {"failure", "error"} else (
            "skipped" if "skipped" in kinds else "passed")
        yield "%s.%s" % (case.get("classname"), case.get("name")), result


def read_steps(path):
    for line in open(path):
        result, name = line.rstrip("\n").split(" ", 1)
        yield name, result


def read(path):
    reader = read_meson if path.endswith(".json") else (
        read_junit if path.endswith(".xml") else read_steps)
    try:
        yield from reader(path)
    except (OSError, ValueError, xml.ParseError) as error:
        yield "%s (%s)" % (path, error), "failed"


def main(arguments):
    may_skip = "--may-skip" in arguments
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for path in arguments:
        if path == "--may-skip":
            continue
        for name, result in read(path):
            counts[result] += 1
            if result != "passed":
                print("%s: %s" % (result, name))
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts)
    return 1 if counts["failed"] or not counts["passed"] or (
        counts["skipped"] and not may_skip) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
