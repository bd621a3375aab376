"""The contents of the directory of handlers, and its errors."""

from __future__ import annotations

import os

import pytest

from agent.handlers import checks
from agent.handlers.directory import HandlerConfigError, read_directory


def test_files_are_classified(handler_directory):
    """Executables, actions, options and Python files are found; all other files are ignored."""
    led, then = (
        handler_directory.write_executable("led", ""),
        handler_directory.write_executable("led.then", ""),
    )
    handler_directory.write_executable("_odd", "")
    handler_directory.write_executable(".hidden", "")
    device = handler_directory.write_python("device.py", "")
    for name in ("_shared.py", ".device.py.swp", "README", ".broken.py"):
        handler_directory.write(name, "")
    handler_directory.write("led.toml", "repeatable = true\ntimeout_s = 5")
    (handler_directory.path / "folder").mkdir()
    handler_directory.write("folder/inner.py", "syntax error")
    os.mkfifo(handler_directory.path / "fifo", 0o755)
    found = read_directory(handler_directory.path)
    assert found.executables == {"led": led, "_odd": handler_directory.path / "_odd"}
    assert found.actions == {"led": then}
    assert found.python_files == [device]
    assert found.options == {"led": {"repeatable": True, "timeout_s": 5}}
    assert (found.errors, found.warnings) == ({}, [])


def test_port_of_an_executable(handler_directory):
    """NAME.toml may name one application port; a value that is none is an error."""
    handler_directory.write_executable("led", "")
    handler_directory.write("led.toml", "port = 2948\nrepeatable = true")
    found = read_directory(handler_directory.path)
    assert (found.ports, found.options, found.errors) == ({"led": (2948,)}, {"led": {"repeatable": True}}, {})
    handler_directory.write("led.toml", 'port = "wap"')
    found = read_directory(handler_directory.path)
    assert (found.ports, found.options) == ({}, {})
    assert "led.toml: port must be a port number from 0 to 65535, not 'wap'" in found.errors["led"][0]


def test_symbolic_link_is_followed(handler_directory, tmp_path):
    """An executable may be elsewhere; its name in the directory is what counts."""
    (handler_directory.path / "sh").symlink_to("/bin/sh")
    assert read_directory(handler_directory.path).executables == {"sh": handler_directory.path / "sh"}
    (handler_directory.path / "lost").symlink_to(tmp_path / "nowhere")
    assert "lost cannot be read" in read_directory(handler_directory.path).errors["lost"][0]


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
@pytest.mark.parametrize("name", ["led", "led.then", "device.py", "_shared.py", "led.toml"])
def test_file_writable_by_others_is_refused(handler_directory, name, mode):
    """Anybody who can write a handler controls the device."""
    handler_directory.write_executable("led", "")
    handler_directory.write(name, "", mode)
    found = read_directory(handler_directory.path)
    errors = found.errors[name if name.endswith(".py") else "led"]
    assert f"{name} can be written by others (mode {mode:04o}): chmod go-w" in errors[0]
    assert found.python_files == []


def test_directory_writable_by_others_is_refused(handler_directory):
    """They could replace a handler by another file, so no file in it is used."""
    handler_directory.write_executable("led", "")
    handler_directory.path.chmod(0o777)
    found = read_directory(handler_directory.path)
    assert "can be written by others" in found.errors["handlers/"][0]
    assert found.executables == {}


def test_file_of_another_user_is_refused(handler_directory, monkeypatch):
    """Only root and the agent's user are trusted."""
    handler_directory.write_executable("led", "")
    assert read_directory(handler_directory.path).errors == {}
    if os.getuid() == 0:
        os.chown(handler_directory.path / "led", 1000, 1000)
    else:
        # Only root can make a file of another user.
        monkeypatch.setattr(checks.os, "geteuid", lambda: 4711)
    assert "chown it to root" in read_directory(handler_directory.path).errors["led"][0]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("led.then", "", "chmod +x"),
        ("two words", "#!/bin/sh", "not one word"),
        ("a=b", "#!/bin/sh", "never be a first word"),
        ("lost.then", "#!/bin/sh", "has no handler"),
        ("led.toml", "timeout_s = ", "not valid TOML"),
        ("led.toml", "timeout_s = 0", "above 0"),
        ("led.toml", "retries = 5\n", "retries is not an option"),
    ],
)
def test_error_is_one_sentence_with_the_file(handler_directory, name, content, error):
    """It has the path of the file and the mistake."""
    handler_directory.write_executable("led", "")
    executable = name != "led.then" and not name.endswith(".toml")
    handler_directory.write(name, content, 0o755 if executable else 0o644)
    ((found,),) = read_directory(handler_directory.path).errors.values()
    assert str(handler_directory.path / name) in found
    assert error in found


def test_options_that_are_not_utf8_are_an_error(handler_directory):
    """A file with invalid UTF-8 is reported as invalid TOML."""
    handler_directory.write_executable("led", "")
    handler_directory.write("led.toml", "").write_bytes(b"\xff\xfe")
    assert "not valid TOML" in read_directory(handler_directory.path).errors["led"][0]


def test_options_without_executable_are_a_warning(handler_directory):
    """The name may be misspelt. Next to a Python file, NAME.toml may be a settings file of that file."""
    handler_directory.write_python("device.py", "")
    handler_directory.write("device.toml", "anything", 0o666)
    handler_directory.write("lde.toml", "timeout_s = 5")
    found = read_directory(handler_directory.path)
    assert found.errors == {}
    assert found.warnings == [f"{handler_directory.path}/lde.toml is not used: there is no executable lde"]


def test_script_that_is_not_executable_is_a_warning(handler_directory):
    """A file that begins with #! was probably meant to be executable; a text file is ignored."""
    handler_directory.write("led", "#!/bin/sh\n")
    handler_directory.write("notes", "shopping")
    found = read_directory(handler_directory.path)
    assert (found.executables, found.errors) == ({}, {})
    (warning,) = found.warnings
    assert f"{handler_directory.path / 'led'}" in warning
    assert "chmod +x" in warning


def test_missing_directory_is_an_error(tmp_path):
    """If it is missing or not a directory, the error names the remedy."""
    with pytest.raises(
        HandlerConfigError, match=r"no directory .*missing: create it, or set \[handlers\] directory"
    ):
        read_directory(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(HandlerConfigError, match="is not a directory"):
        read_directory(tmp_path / "file")


@pytest.mark.skipif(os.getuid() == 0, reason="root can read every directory")
def test_unreadable_directory_is_an_error(handler_directory):
    """The error names the remedy."""
    handler_directory.path.chmod(0o300)
    (error,) = read_directory(handler_directory.path).errors["handlers/"]
    assert "cannot be read: Permission denied" in error


def test_relative_path_becomes_absolute(handler_directory, monkeypatch):
    """A later change of the working directory must not change which files run."""
    handler_directory.write_executable("led", "")
    monkeypatch.chdir(handler_directory.path.parent)
    assert read_directory(handler_directory.path.relative_to(handler_directory.path.parent)).executables == {
        "led": handler_directory.path / "led"
    }
