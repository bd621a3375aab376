"""The examples of hardware/README.md do what is written there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

import hardware.testing  # noqa: F401 - else each inner run would import it again

README = Path(__file__).parents[3] / "hardware/README.md"
pytest_plugins = ["pytester"]

OPTIONS = (
    *("-p", "no:xdist", "-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:hypothesispytest"),
    *("-W", "error"),
)


def read_examples(text):
    """Return the indented blocks after a paragraph that begins with the name of a file, by name."""
    found = re.findall(r"^`(\w+\.py)`[^\n]*:\n\n((?:    [^\n]*\n|\n)+)", text, re.MULTILINE)
    return {name: textwrap.dedent(block) for name, block in found}


@pytest.mark.parametrize(
    ("program", "test"), [("thermometer", "test_thermometer"), ("backend", "test_backend")]
)
def test_example_passes(pytester, program, test):
    """Program and tests are taken from the page as they are."""
    examples = read_examples(README.read_text())
    for name in (program, test):
        pytester.makepyfile(**{name: examples[f"{name}.py"]})
    pytester.runpytest_inprocess(*OPTIONS).assert_outcomes(passed=3)


def test_contents_name_every_section():
    """The table at the top has a link to each section, and no other."""
    page = README.read_text()
    sections = {
        title.lower().replace(",", "").replace(" ", "-")
        for title in re.findall(r"^## (.+)$", page, re.MULTILINE)
    }
    assert set(re.findall(r"\(#([a-z-]+)\)", page.partition("\n## ")[0])) == sections


def test_first_test_passes(pytester):
    """The two lines at the beginning of the section."""
    (lines,) = re.findall(r"This is a complete test:\n\n((?:    .*\n)+)", README.read_text())
    pytester.makepyfile(textwrap.dedent(lines))
    pytester.runpytest_inprocess(*OPTIONS).assert_outcomes(passed=1)
