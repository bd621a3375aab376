"""Command line of the codec: `python -m pdu`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "data" / "vectors.jsonl"


def pdu(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pdu", *arguments],
        check=False,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **environment},
    )


def test_vectors_pass():
    """The exit status is 0 and the output is one line."""
    done = pdu("vectors", str(FILE))
    assert (done.returncode, done.stdout, done.stderr) == (0, "420 passed, 0 failed\n", "")


def test_failed_vector_has_exit_status_1(tmp_path):
    """Each failure is one line, the totals come last, also in an ASCII terminal."""
    path = tmp_path / "one.jsonl"
    vector = json.loads(FILE.read_text(encoding="utf-8").splitlines()[0])
    vector["expect"]["pid"] = "é\ud83d"
    path.write_text(json.dumps(vector), encoding="utf-8")
    done = pdu("vectors", str(path), PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    first, last = done.stdout.splitlines()
    assert first.startswith("s0001 deliver: pid: expected ")
    assert last == "0 passed, 1 failed"


def test_closed_output_pipe_is_quiet(tmp_path):
    """With ``| head -1`` there is no traceback."""
    path = tmp_path / "false.jsonl"
    path.write_text('{"valid": true}\n' * 20_000, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "pdu", "vectors", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"number 1 None: hex must be a string\n"
        process.stdout.close()
        assert process.stderr.read() == b""


def test_unreadable_file_has_exit_status_2(tmp_path):
    """The output is one sentence."""
    done = pdu("vectors", str(tmp_path / "missing.jsonl"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{tmp_path / 'missing.jsonl'} cannot be read: No such file or directory\n"


def test_decode_prints_the_fields():
    """It works for received and sent messages, with and without service centre address."""
    done = pdu("decode", "00 04 038100F0 00 00", "62203040506000 02 ef35")
    assert done.returncode == 0
    assert done.stdout.startswith("SMS-DELIVER, <length> 17\n")
    assert "'ok'" in done.stdout
    done = pdu("decode", "--mo", "--no-sca", "01 00 038100F0 00 00 02 EF35")
    assert done.stdout.startswith("SMS-SUBMIT, <length> 11\n")


@pytest.mark.parametrize(
    ("digits", "error"),
    [
        ("00 04 03", "deliver.originating_address.type_of_address at octet 3: the message ends before it"),
        ("00 0G", "hex at octet 1: 'G' is not a hexadecimal digit"),
    ],
)
def test_decode_error_is_one_sentence(digits, error):
    """The exit status is 1, and the readable fields are printed."""
    done = pdu("decode", digits)
    assert (done.returncode, done.stderr) == (1, error + "\n")


def test_encode_prints_at_command_and_pdu():
    """There is an AT command and a PDU for each part."""
    done = pdu("encode", "2936", "ok")
    assert (done.returncode, done.stdout) == (0, "AT+CMGS=11\n00010004819263000002EF35\n")
    done = pdu("encode", "000", "x" * 200, "--reference", "7")
    assert done.stdout.count("AT+CMGS=") == 2
    done = pdu("encode", "nobody", "ok")
    assert done.returncode == 1
    assert done.stderr.startswith("address: 'nobody' is not a telephone number")


def test_usage_error_has_exit_status_2():
    """This is the convention of shells."""
    assert pdu().returncode == 2
    assert pdu("decode").returncode == 2
