"""Rules for classes: short constructors, attributes that `__init__` sets, and a name for one thing only."""

import ast
import functools
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "hardware", "pdu")
MAX_ARGUMENTS = 7
LONG_CONSTRUCTORS = {
    "Command": "the parameters are the attributes that handlers read",
}
"""Classes whose constructor may take more arguments, with the reason."""


@functools.cache
def classes(root):
    """Return each class of the product with its place."""
    return [
        (node, f"{file.relative_to(root)}:{node.lineno} {node.name}")
        for package in PACKAGES
        for file in sorted((root / package).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(), str(file)))
        if isinstance(node, ast.ClassDef)
    ]


def methods(node):
    return [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]


def assigned_attributes(function):
    """Return the attributes of `self` that a method assigns."""
    return {
        each.attr
        for each in ast.walk(function)
        if isinstance(each, ast.Attribute)
        and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name)
        and each.value.id == "self"
    }


def long_constructors(root):
    """Return the places of constructors with too many arguments."""
    return [
        f"{place} takes {count} arguments"
        for node, place in classes(root)
        for method in methods(node)
        if method.name == "__init__"
        and (count := len(method.args.args) - 1 + len(method.args.kwonlyargs)) > MAX_ARGUMENTS
        and node.name not in LONG_CONSTRUCTORS
    ]


def declared_attributes(node):
    """Return the attributes that the class body, a setter or `__init__` declares."""
    names = set()
    for each in node.body:
        targets = [each.target] if isinstance(each, ast.AnnAssign) else getattr(each, "targets", [])
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    for method in methods(node):
        if method.name == "__init__":
            names |= assigned_attributes(method)
        if any(isinstance(each, ast.Attribute) and each.attr == "setter" for each in method.decorator_list):
            names.add(method.name)
    return names


def late_attributes(root):
    """Return the attributes that a method sets although neither its class nor a base class declares them."""
    nodes = {node.name: node for node, _ in classes(root)}

    def declared(node):
        bases = [nodes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in nodes]
        return declared_attributes(node).union(*map(declared, bases))

    return sorted(
        f"{place}.{method.name} sets {name}"
        for node, place in classes(root)
        for method in methods(node)
        for name in assigned_attributes(method) - declared(node)
    )


def doubled_names(root):
    """Return the public class names that more than one file defines."""
    files = defaultdict(set)
    for node, place in classes(root):
        if not node.name.startswith("_"):
            files[node.name].add(place.partition(":")[0])
    return [f"{name}: {', '.join(sorted(found))}" for name, found in files.items() if len(found) > 1]


@pytest.mark.parametrize("rule", [long_constructors, late_attributes, doubled_names])
def test_classes_follow_the_rule(rule):
    assert rule(ROOT) == []


def test_violations_are_reported(tmp_path):
    """One file violates all three rules."""
    for package in PACKAGES:
        (tmp_path / package).mkdir()
    (tmp_path / "agent/one.py").write_text(
        "class Modem:\n"
        "    def __init__(self, a, b, c, d, *, e, f, g, h):\n"
        "        self.port = a\n"
        "    def open(self):\n"
        "        self.port = self.file = None\n"
    )
    (tmp_path / "pdu/two.py").write_text("class Modem:\n    pass\n")
    assert long_constructors(tmp_path) == ["agent/one.py:1 Modem takes 8 arguments"]
    assert late_attributes(tmp_path) == ["agent/one.py:1 Modem.open sets file"]
    assert doubled_names(tmp_path) == ["Modem: agent/one.py, pdu/two.py"]
