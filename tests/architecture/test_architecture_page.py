"""The architecture page, agent/README.md, shows the imports between packages as they are."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "agent/README.md"
FIGURE = re.compile(r"<!-- imports -->\n+```mermaid\n(.*?)```", re.DOTALL)
EDGE = re.compile(r"^\s*(\w+) --> (\w+)\s*$", re.MULTILINE)
REGENERATE = "python tests/architecture/test_imports.py --mermaid prints the figure"


@pytest.fixture(scope="module")
def import_checks():
    """The module test_imports, which computes the edges."""
    spec = importlib.util.spec_from_file_location(
        "import_checks", Path(__file__).with_name("test_imports.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def figure_edges(page):
    """Return the edges of the one mermaid figure that follows the mark `<!-- imports -->`."""
    [figure] = FIGURE.findall(page)
    return set(EDGE.findall(figure))


def test_figure_shows_the_imports_between_packages(import_checks):
    """The figure has exactly one edge for each package of `agent` and each package that it imports."""
    page = PAGE.read_text()
    if "<!-- imports -->" not in page:
        pytest.skip("agent/README.md has no figure yet")
    shown, real = figure_edges(page), import_checks.package_edges(CHECKOUT)
    assert shown - real == set(), f"imports that do not exist; {REGENERATE}"
    assert real - shown == set(), f"imports that are missing; {REGENERATE}"


def test_printed_figure_is_read_back(import_checks):
    """The figure that the script prints contains the edges that the check expects."""
    edges = import_checks.package_edges(CHECKOUT)
    figure = import_checks.mermaid(edges)
    assert figure_edges(f"text\n\n<!-- imports -->\n```mermaid\n{figure}\n```\n") == edges
    assert ("daemon", "pipeline") in edges
    assert ("at", "hardware") in edges


def test_files_of_the_page_exist():
    """Each path in backquotes that ends in .py names a file of the tree."""
    paths = set(re.findall(r"`((?:agent|hardware|pdu|tests)/[\w/]+\.py)`", PAGE.read_text()))
    assert {path for path in paths if not (CHECKOUT / path).is_file()} == set()
