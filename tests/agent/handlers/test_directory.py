"""What stands in the directory of handlers, and what is refused."""

from __future__ import annotations

import os

import pytest

from agent.handlers import directory
from agent.handlers.directory import CatalogueError, read


def test_the_files_are_told_apart(folder):
    """Executables, actions, options, Python files; everything else is left alone."""
    led, then = folder.executable("led", ""), folder.executable("led.then", "")
    folder.executable("_odd", "")
    folder.executable(".hidden", "")
    device = folder.python("device.py", "")
    for name in ("_shared.py", ".device.py.swp", "README", ".broken.py"):
        folder.file(name, "")
    folder.file("led.toml", "repeatable = true\ntimeout_s = 5")
    (folder.path / "folder").mkdir()
    folder.file("folder/inner.py", "syntax error")
    os.mkfifo(folder.path / "fifo", 0o755)
    found = read(folder.path)
    assert found.executables == {"led": led, "_odd": folder.path / "_odd"}
    assert found.actions == {"led": then}
    assert found.python == [device]
    assert found.options == {"led": {"repeatable": True, "timeout_s": 5}}
    assert (found.faults, found.remarks) == ([], [])


def test_a_link_counts_as_what_it_leads_to(folder, tmp_path):
    """An executable may live elsewhere; the name in the directory is what counts."""
    (folder.path / "sh").symlink_to("/bin/sh")
    assert read(folder.path).executables == {"sh": folder.path / "sh"}
    (folder.path / "lost").symlink_to(tmp_path / "nowhere")
    assert "lost" in read(folder.path).faults[0]


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
@pytest.mark.parametrize("name", ["led", "led.then", "device.py", "_shared.py", "led.toml"])
def test_what_others_can_write_is_refused(folder, name, mode):
    """Whoever can write a handler commands the device."""
    folder.executable("led", "")
    folder.file(name, "", mode)
    found = read(folder.path)
    assert f"{name} can be written by others (mode {mode:04o}): chmod go-w" in found.faults[0]
    assert found.python == []


def test_a_directory_that_others_can_write_is_refused(folder):
    """They could put another file in a handler's place."""
    folder.path.chmod(0o777)
    assert "can be written by others" in read(folder.path).faults[0]


def test_what_belongs_to_another_user_is_refused(folder, monkeypatch):
    """Only root and the agent's own user are trusted."""
    folder.executable("led", "")
    assert read(folder.path).faults == []
    if os.getuid() == 0:
        os.chown(folder.path / "led", 1000, 1000)
    else:
        monkeypatch.setattr(directory.os, "geteuid", lambda: 4711)
    assert "chown it to root" in read(folder.path).faults[-1]


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
def test_a_mistake_is_one_sentence_with_the_file(folder, name, content, fault):
    """The name of the file and what is wrong."""
    folder.executable("led", "")
    executable = name != "led.then" and not name.endswith(".toml")
    folder.file(name, content, 0o755 if executable else 0o644)
    (sentence,) = read(folder.path).faults
    assert str(folder.path / name) in sentence
    assert fault in sentence


def test_options_that_are_no_text(folder):
    """A file of rubbish is said to be one."""
    folder.executable("led", "")
    folder.file("led.toml", "").write_bytes(b"\xff\xfe")
    assert "not valid TOML" in read(folder.path).faults[0]


def test_a_table_without_executable(folder):
    """Is remarked, because it may be a slip of the pen; beside a Python file it is that file's own matter."""
    folder.python("device.py", "")
    folder.file("device.toml", "anything", 0o666)
    folder.file("lde.toml", "timeout_s = 5")
    found = read(folder.path)
    assert found.faults == []
    assert found.remarks == [f"{folder.path}/lde.toml is not used: there is no executable lde"]


def test_a_script_that_nobody_can_run_is_remarked(folder):
    """It begins like a script, so the x was probably forgotten; a text file is no mistake."""
    folder.file("led", "#!/bin/sh\n")
    folder.file("notes", "shopping")
    found = read(folder.path)
    assert (found.executables, found.faults) == ({}, [])
    (remark,) = found.remarks
    assert f"{folder.path / 'led'}" in remark
    assert "chmod +x" in remark


def test_a_directory_that_cannot_be_read(tmp_path):
    """Missing, or no directory: a sentence with what to do."""
    with pytest.raises(
        CatalogueError, match=r"no directory .*missing: make it, or set \[handlers\] directory"
    ):
        read(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(CatalogueError, match="is no directory"):
        read(tmp_path / "file")


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_directory_without_permission(folder):
    """A sentence with what to do."""
    folder.path.chmod(0o300)
    with pytest.raises(CatalogueError, match="cannot be read: Permission denied"):
        read(folder.path)


def test_a_directory_is_meant_where_it_was(folder, monkeypatch):
    """A relative path is made absolute, so a later change of directory changes nothing."""
    folder.executable("led", "")
    monkeypatch.chdir(folder.path.parent)
    assert read(folder.path.relative_to(folder.path.parent)).executables == {"led": folder.path / "led"}
