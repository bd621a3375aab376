"""The file of a recording: complete lines, mode 0600, and at most one warning."""

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


def test_lines_are_written_at_once_with_mode_0600(tmp_path, warnings):
    """Whatever the mode was before; an existing file is appended to."""
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


def test_full_disk_ends_the_recording_with_one_warning(tmp_path, warnings):
    """No line is written partly."""
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


def test_write_error_ends_the_recording_with_one_warning(tmp_path, warnings, monkeypatch):
    """The warning has the error of the system."""
    file = RecordingFile(tmp_path / "recording", warnings.append)

    def refuse(_file, _data):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", refuse)  # no file system here can be made to return EIO
    file.write("a")
    file.write("b")
    assert [warning.rpartition(": ")[2] for warning in warnings] == ["Input/output error"]


def test_recording_leaves_free_space_for_the_journal(tmp_path, warnings):
    """It ends before the disk is full."""
    path = tmp_path / "recording"
    file = RecordingFile(path, warnings.append, min_free_bytes=1 << 60)
    file.write("a")
    assert path.read_text() == ""
    assert "MiB are left" in warnings[0]


def test_special_files_are_refused(tmp_path, warnings):
    """A pipe without a reader, a device, a folder."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/null"):
        with pytest.raises(OSError):
            RecordingFile(path, warnings.append)
