"""The file of a recording never stands in the way of the agent."""

import errno
import os
import resource
import signal
import stat

import pytest

from agent.recording.file import RecordingFile


@pytest.fixture
def warnings():
    return []


def test_lines_are_there_at_once_and_for_the_owner_only(tmp_path, warnings):
    """Mode 0600 whatever it was, and each line is in the file when it was written."""
    path = tmp_path / "recording"
    path.write_text("earlier\n")
    path.chmod(0o644)
    file = RecordingFile(path, warnings.append)
    file.write("0.1 > AT")
    assert path.read_text() == "earlier\n0.1 > AT\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file.close()
    file.write("later")
    assert path.read_text() == "earlier\n0.1 > AT\n"
    assert warnings == []


def test_a_full_disk_ends_it_with_one_warning(tmp_path, warnings):
    """A line is whole or not there."""
    path = tmp_path / "recording"
    file = RecordingFile(path, warnings.append)
    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limit[1]))
    try:
        for number in range(5):
            file.write(f"line {number} ")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert signal.getsignal(signal.SIGXFSZ) is handler
    assert path.read_text() == "line 0 \nline 1 \n"
    assert len(warnings) == 1
    assert warnings[0].startswith(f"the recording {path} ends here: ")


def test_an_error_ends_it_with_one_warning(tmp_path, warnings, monkeypatch):
    """Whatever the disk says."""
    file = RecordingFile(tmp_path / "recording", warnings.append)

    def refuse(_file, _data):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", refuse)
    file.write("a")
    file.write("b")
    assert [each.rpartition(": ")[2] for each in warnings] == ["Input/output error"]


def test_room_is_left_for_the_journal(tmp_path, warnings):
    """It ends before the disk is full."""
    path = tmp_path / "recording"
    file = RecordingFile(path, warnings.append, min_free_bytes=1 << 60)
    file.write("a")
    assert path.read_text() == ""
    assert "MiB are left" in warnings[0]


def test_what_is_no_file_is_refused(tmp_path, warnings):
    """A pipe that nobody reads, a terminal, a folder."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/null"):
        with pytest.raises(OSError):
            RecordingFile(path, warnings.append)
