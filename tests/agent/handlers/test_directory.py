"""What stands in the directory of handlers, and what is refused."""

from __future__ import annotations

import os

import pytest

from agent.handlers import directory
from agent.handlers.directory import HandlerConfigError, read_directory


def test_the_files_are_told_apart(handler_directory):
    """Executables, actions, options, Python files; everything else is left alone."""
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
    assert (found.errors, found.warnings) == ([], [])


def test_a_link_counts_as_what_it_leads_to(handler_directory, tmp_path):
    """An executable may live elsewhere; the name in the directory is what counts."""
    (handler_directory.path / "sh").symlink_to("/bin/sh")
    assert read_directory(handler_directory.path).executables == {"sh": handler_directory.path / "sh"}
    (handler_directory.path / "lost").symlink_to(tmp_path / "nowhere")
    assert "lost" in read_directory(handler_directory.path).errors[0]


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
@pytest.mark.parametrize("name", ["led", "led.then", "device.py", "_shared.py", "led.toml"])
def test_what_others_can_write_is_refused(handler_directory, name, mode):
    """Whoever can write a handler commands the device."""
    handler_directory.write_executable("led", "")
    handler_directory.write(name, "", mode)
    found = read_directory(handler_directory.path)
    assert f"{name} can be written by others (mode {mode:04o}): chmod go-w" in found.errors[0]
    assert found.python_files == []


def test_a_directory_that_others_can_write_is_refused(handler_directory):
    """They could put another file in a handler's place."""
    handler_directory.path.chmod(0o777)
    assert "can be written by others" in read_directory(handler_directory.path).errors[0]


def test_what_belongs_to_another_user_is_refused(handler_directory, monkeypatch):
    """Only root and the agent's own user are trusted."""
    handler_directory.write_executable("led", "")
    assert read_directory(handler_directory.path).errors == []
    if os.getuid() == 0:
        os.chown(handler_directory.path / "led", 1000, 1000)
    else:
        monkeypatch.setattr(directory.os, "geteuid", lambda: 4711)
    assert "chown it to root" in read_directory(handler_directory.path).errors[-1]


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("led.then", "", "chmod +x"),
        ("two words", "#!/bin/sh", "not one word"),
        ("a=b", "#!/bin/sh", "never be a first word"),
        ("lost.then", "#!/bin/sh", "belongs to nothing"),
        ("led.toml", "timeout_s = ", "not valid TOML"),
        ("led.toml", "timeout_s = 0", "above 0"),
        ("led.toml", "retries = 5\n", "retries is no option"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_file(handler_directory, name, content, fault):
    """The name of the file and what is wrong."""
    handler_directory.write_executable("led", "")
    executable = name != "led.then" and not name.endswith(".toml")
    handler_directory.write(name, content, 0o755 if executable else 0o644)
    (sentence,) = read_directory(handler_directory.path).errors
    assert str(handler_directory.path / name) in sentence
    assert fault in sentence


def test_options_that_are_no_text(handler_directory):
    """A file of rubbish is said to be one."""
    handler_directory.write_executable("led", "")
    handler_directory.write("led.toml", "").write_bytes(b"\xff\xfe")
    assert "not valid TOML" in read_directory(handler_directory.path).errors[0]


def test_a_table_without_executable(handler_directory):
    """Is remarked, because it may be a slip of the pen; beside a Python file it is that file's own matter."""
    handler_directory.write_python("device.py", "")
    handler_directory.write("device.toml", "anything", 0o666)
    handler_directory.write("lde.toml", "timeout_s = 5")
    found = read_directory(handler_directory.path)
    assert found.errors == []
    assert found.warnings == [f"{handler_directory.path}/lde.toml is not used: there is no executable lde"]


def test_a_script_that_nobody_can_run_is_remarked(handler_directory):
    """It begins like a script, so the x was probably forgotten; a text file is no mistake."""
    handler_directory.write("led", "#!/bin/sh\n")
    handler_directory.write("notes", "shopping")
    found = read_directory(handler_directory.path)
    assert (found.executables, found.errors) == ({}, [])
    (remark,) = found.warnings
    assert f"{handler_directory.path / 'led'}" in remark
    assert "chmod +x" in remark


def test_a_directory_that_cannot_be_read(tmp_path):
    """Missing, or no directory: a sentence with what to do."""
    with pytest.raises(
        HandlerConfigError, match=r"no directory .*missing: make it, or set \[handlers\] directory"
    ):
        read_directory(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(HandlerConfigError, match="is no directory"):
        read_directory(tmp_path / "file")


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_directory_without_permission(handler_directory):
    """A sentence with what to do."""
    handler_directory.path.chmod(0o300)
    with pytest.raises(HandlerConfigError, match="cannot be read: Permission denied"):
        read_directory(handler_directory.path)


def test_a_directory_is_meant_where_it_was(handler_directory, monkeypatch):
    """A relative path is made absolute, so a later change of directory changes nothing."""
    handler_directory.write_executable("led", "")
    monkeypatch.chdir(handler_directory.path.parent)
    assert read_directory(handler_directory.path.relative_to(handler_directory.path.parent)).executables == {
        "led": handler_directory.path / "led"
    }
