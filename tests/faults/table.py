"""Writes the table of faults into tests/README.md, from the tests themselves:

    .venv/bin/python tests/faults/table.py

A fault's tests are those whose names begin with its id. Modes are the values of `mode` they run with, `real`
where real time or processes are needed. `@pytest.mark.deviation(text)` fills the last column.
"""

import contextlib
import io
import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from fault.catalogue import TITLES

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- the faults: written by tests/faults/table.py -->", "<!-- the faults: end -->"
NAME = re.compile(r"test_f(\d\d)_")


class Collected:
    """The tests of this folder, as pytest finds them."""

    def __init__(self):
        self.items = defaultdict(list)

    def pytest_collection_modifyitems(self, items):
        for item in items:
            if found := NAME.match(item.originalname):
                self.items[f"F{found[1]}"].append(item)


def rows(items):
    """A line a fault."""
    for fault, title in TITLES.items():
        tests = items.get(fault, [])
        modes = {mode for test in tests for mode in _modes(test)}
        shown = ", ".join(mode for mode in ("pdu", "text", "real") if mode in modes)
        said = dict.fromkeys(mark.args[0] for test in tests for mark in test.iter_markers("deviation"))
        yield f"| {fault} | {title} | {shown or '-'} | {len(tests)} | {' '.join(said)} |"


def _modes(test):
    params = getattr(test, "callspec", None)
    if params is not None and "mode" in params.params:
        yield params.params["mode"]
    if test.get_closest_marker("real_time"):
        yield "real"


def table():
    """What stands between the marks."""
    collected = Collected()
    arguments = ["--collect-only", "-q", "-p", "no:cacheprovider", str(HERE)]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = pytest.main(arguments, plugins=[collected])
    if status != pytest.ExitCode.OK:
        raise SystemExit(f"the tests could not be collected: {said.getvalue()}")
    head = [
        "| fault | what goes wrong | modes | cases | where the design holds instead |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows(collected.items)])


def put(text, new):
    """The file with the table in its place."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{README} has no place for the table")
    return f"{before}{BEGIN}\n\n{new}\n\n{END}{after}"


def main():
    """Write it, or with `--check` only say whether it is as it would be written."""
    text = README.read_text()
    fresh = put(text, table())
    if fresh == text:
        return
    if "--check" in sys.argv:
        raise SystemExit("the table in tests/README.md is not that of the tests: run tests/faults/table.py")
    README.write_text(fresh)


if __name__ == "__main__":
    main()
