from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pdu

PACKAGE = Path(pdu.__file__).parent


def test_every_name_of_the_door_is_there():
    """Each is loaded from its room, and dir() shows them all."""
    for name in pdu.__all__:
        assert getattr(pdu, name) is not None
    assert dir(pdu) == pdu.__all__ == sorted(pdu.__all__, key=lambda name: (not name[0].isupper(), name))
    with pytest.raises(AttributeError, match="no attribute 'Missing'"):
        pdu.Missing  # noqa: B018  # the access is the test


def test_the_door_is_the_same_for_type_checkers():
    """The imports that they see and the table that is used name the same rooms."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    seen = {
        alias.name: node.module.removeprefix("pdu.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("pdu.")
        for alias in node.names
    }
    assert seen == pdu._MODULES


def test_the_codec_imports_the_standard_library_only():
    """And of it nothing that takes long, when it is first imported."""
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                assert name.partition(".")[0] in {*sys.stdlib_module_names, "pdu"}, (path, name)


def test_importing_is_quick_and_brings_in_little():
    """Neither dataclasses nor typing nor json: on a small device they cost more than the codec."""
    code = (
        "import sys, time\nbefore = set(sys.modules)\nbegin = time.process_time()\n"
        "from pdu import *\nimport pdu\n"
        "print((time.process_time() - begin) * 1000, *(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys\nsys.path.insert(0, {str(PACKAGE.parent)!r})\n{code}",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    milliseconds, *loaded = done.stdout.split()
    assert not {"dataclasses", "typing", "json", "inspect", "asyncio", "pdu.national"} & set(loaded)
    assert float(milliseconds) < 500  # generous: other things run on the machine


def test_the_examples_of_the_readme_work(capsys):
    """The code block runs and prints what a reader expects."""
    text = (Path(__file__).parents[2] / "pdu" / "README.md").read_text(encoding="utf-8")
    exec(text.partition("```python\n")[2].partition("```")[0], {})  # noqa: S102  # our own text
    received, command, *parts = capsys.readouterr().out.splitlines()
    assert received == "000 led on 2026-02-03 04:05:06+00:00"
    assert command.startswith("AT+CMGS=")
    assert len(parts) == 1


def test_a_decode_costs_microseconds():
    """A guard against a slip of a factor of ten; `make bench PART=codec` measures."""
    digits = "07914151550501F004038100F0000062203040506000" + "A0" + "FF" * 140
    begin = time.process_time()
    for _ in range(1000):
        assert pdu.decode(digits).text
    assert time.process_time() - begin < 0.2
