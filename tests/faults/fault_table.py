"""Writes the table of faults into tests/README.md, from the tests themselves:

    .venv/bin/python tests/faults/fault_table.py

A fault's tests are those whose names begin with its id. The column of modes has the values of
`message_format` that they run with, and `real` if a test needs real time or processes.
`@pytest.mark.deviation(text)` fills the last column.
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
TEST_NAME = re.compile(r"test_f(\d{2,3})_")


class ItemCollector:
    """A pytest plugin that collects the tests of each fault."""

    def __init__(self):
        self.items = defaultdict(list)

    def pytest_collection_finish(self, session):
        for item in session.items:
            if found := TEST_NAME.match(item.originalname):
                self.items[f"F{found[1]}"].append(item)


def table_rows(items):
    """Yield the table row of each fault."""
    for fault, title in TITLES.items():
        tests = items.get(fault, [])
        modes = {mode for test in tests for mode in _modes(test)}
        mode_list = ", ".join(mode for mode in ("pdu", "text", "real") if mode in modes)
        deviations = dict.fromkeys(mark.args[0] for test in tests for mark in test.iter_markers("deviation"))
        yield f"| {fault} | {title} | {mode_list or '-'} | {len(tests)} | {' '.join(deviations)} |"


def _modes(test):
    params = getattr(test, "callspec", None)
    if params is not None and "message_format" in params.params:
        yield params.params["message_format"]
    if test.get_closest_marker("real_time"):
        yield "real"


def build_table():
    """Return the table in Markdown."""
    collected = ItemCollector()
    arguments = ["--collect-only", "-q", "-p", "no:cacheprovider", str(HERE)]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        status = pytest.main(arguments, plugins=[collected])
    if status != pytest.ExitCode.OK:
        raise SystemExit(f"the tests could not be collected: {output.getvalue()}")
    head = [
        "| fault | what goes wrong | modes | cases | deviation from the catalogue |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *table_rows(collected.items)])


def insert_table(text, new):
    """Return the README text with the new table between the markers."""
    before, _, rest = text.partition(BEGIN_MARKER)
    _, end, after = rest.partition(END_MARKER)
    if not end:
        raise SystemExit(f"{README} lacks the markers of the table")
    return f"{before}{BEGIN_MARKER}\n\n{new}\n\n{END_MARKER}{after}"


def main():
    """Write the table, or with `--check` fail if it is out of date."""
    text = README.read_text()
    fresh = insert_table(text, build_table())
    if fresh == text:
        return
    if "--check" in sys.argv:
        raise SystemExit("the table in tests/README.md is out of date: run tests/faults/fault_table.py")
    README.write_text(fresh)


if __name__ == "__main__":
    main()
