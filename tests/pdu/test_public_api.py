"""Public names, imports and speed of the codec."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pdu

PACKAGE = Path(pdu.__file__).parent


def test_every_public_name_can_be_imported():
    """Each name is loaded from its module, and dir() lists them all."""
    for name in pdu.__all__:
        assert getattr(pdu, name) is not None
    assert dir(pdu) == pdu.__all__ == sorted(pdu.__all__, key=lambda name: (not name[0].isupper(), name))
    with pytest.raises(AttributeError, match="no attribute 'Missing'"):
        pdu.Missing  # noqa: B018  # the access is the test


def test_lazy_imports_equal_type_checking_imports():
    """The imports for type checkers and the table of lazy imports name the same modules."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    seen = {
        alias.name: node.module.removeprefix("pdu.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("pdu.")
        for alias in node.names
    }
    assert seen == pdu._MODULES


def test_codec_imports_only_standard_library():
    """The codec has no dependencies."""
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                assert name.partition(".")[0] in {*sys.stdlib_module_names, "pdu"}, (path, name)


def test_import_is_fast_and_loads_little():
    """It loads neither dataclasses nor typing nor json: on a small device they cost more than the codec."""
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


def test_readme_example_works(capsys):
    """The code block runs and prints what a reader expects."""
    text = (Path(__file__).parents[2] / "pdu" / "README.md").read_text(encoding="utf-8")
    exec(text.partition("```python\n")[2].partition("```")[0], {})  # noqa: S102  # our own text
    received, command, *parts = capsys.readouterr().out.splitlines()
    assert received == "000 led on 2026-02-03 04:05:06+00:00"
    assert command.startswith("AT+CMGS=")
    assert len(parts) == 1


def test_decode_takes_microseconds():
    """It must not become ten times slower unnoticed; `make bench PART=codec` measures it."""
    digits = "07914151550501F004038100F0000062203040506000" + "A0" + "FF" * 140
    begin = time.process_time()
    for _ in range(1000):
        assert pdu.decode(digits).text
    assert time.process_time() - begin < 0.2
