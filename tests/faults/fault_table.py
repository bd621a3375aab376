"""Writes the table of faults into tests/README.md, from the tests themselves:

    .venv/bin/python tests/faults/fault_table.py

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
BEGIN_MARKER, END_MARKER = (
    "<!-- the faults: written by tests/faults/fault_table.py -->",
    "<!-- the faults: end -->",
)
TEST_NAME = re.compile(r"test_f(\d\d)_")


class ItemCollector:
    """The tests of this folder, as pytest finds them."""

    def __init__(self):
        self.items = defaultdict(list)

    def pytest_collection_modifyitems(self, items):
        for item in items:
            if found := TEST_NAME.match(item.originalname):
                self.items[f"F{found[1]}"].append(item)


def table_rows(items):
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


def build_table():
    """What stands between the marks."""
    collected = ItemCollector()
    arguments = ["--collect-only", "-q", "-p", "no:cacheprovider", str(HERE)]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = pytest.main(arguments, plugins=[collected])
    if status != pytest.ExitCode.OK:
        raise SystemExit(f"the tests could not be collected: {said.getvalue()}")
    head = [
        "| fault | what goes wrong | modes | cases | where the design holds instead |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *table_rows(collected.items)])


def insert_table(text, new):
    """The file with the table in its place."""
    before, _, rest = text.partition(BEGIN_MARKER)
    _, end, after = rest.partition(END_MARKER)
    if not end:
        raise SystemExit(f"{README} has no place for the table")
    return f"{before}{BEGIN_MARKER}\n\n{new}\n\n{END_MARKER}{after}"


def main():
    """Write it, or with `--check` only say whether it is as it would be written."""
    text = README.read_text()
    fresh = insert_table(text, build_table())
    if fresh == text:
        return
    if "--check" in sys.argv:
        raise SystemExit(
            "the table in tests/README.md is not that of the tests: run tests/faults/fault_table.py"
        )
    README.write_text(fresh)


if __name__ == "__main__":
    main()
