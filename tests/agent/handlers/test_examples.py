"""The example handlers in `config/handlers`, as a user would install them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from agent.handlers.runner import Finished, ProcessRunner

EXAMPLES = Path(__file__).parents[3] / "config" / "handlers"


@pytest.fixture
async def installed_examples(handler_env, tmp_path):
    for file in EXAMPLES.iterdir():
        if file.name in {"led", "device.py", "registers.py"}:
            shutil.copy(file, handler_env.directory.path)
            (handler_env.directory.path / file.name).chmod(0o755 if os.access(file, os.X_OK) else 0o644)
    (tmp_path / "brightness").write_text("0\n")
    handler_env.runner = ProcessRunner(lambda _: None, os.environ | {"LED": str(tmp_path)})
    yield handler_env
    await handler_env.runner.close()


async def test_examples_load_without_warnings(installed_examples):
    """An executable, a Python file, and a Python file for binary Commands work side by side."""
    registry = await installed_examples.registry()
    assert registry.warnings == ()
    assert {spec.kind for spec in registry.specs} == {"executable", "python", "builtin"}
    assert registry.trigger_names == ["help", "identify", "led", "ping", "status", "temp", '"enable"']


async def test_led_switches_and_reports(installed_examples, tmp_path):
    """It turns the LED on and off, returns its state, and explains its use."""
    assert await installed_examples.run("led on") == Finished("led is on")
    assert (tmp_path / "brightness").read_text() == "1\n"
    assert await installed_examples.run("LED") == Finished("led is on")
    assert await installed_examples.run("led=off") == Finished("led is off")
    assert await installed_examples.run("led ../on") == Finished("led on, led off or led")
    (tmp_path / "brightness").unlink()
    assert await installed_examples.run("led") == Finished("no LED here")


async def test_device_handles_text_json_and_action(installed_examples):
    """It handles a word, a JSON key, and a reply with an action."""
    assert isinstance(await installed_examples.run("temp"), Finished)
    assert await installed_examples.run('{"enable": true}') == Finished("reporting is on")
    assert await installed_examples.run('{"enable": 0}') == Finished("reporting is off")
    assert await installed_examples.run("identify") == Finished("look for the blinking LED", "blink")


async def test_registers_keep_binary_values(installed_examples):
    """It takes and returns octets; the values stay from Command to Command."""
    assert await installed_examples.run(b"\x01\x07\x12\x34") == Finished(b"\x01\x07\x12\x34")
    assert await installed_examples.run(b"\x01\x07") == Finished(b"\x01\x07\x12\x34")
    assert await installed_examples.run(b"\x01") == Finished(b"\x01")
