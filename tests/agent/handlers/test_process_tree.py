"""Process trees."""

from __future__ import annotations

import os
import subprocess

import pytest

from agent.handlers import process_tree


@pytest.fixture
def shell():
    """A shell that runs lines; each call returns the first line of output."""
    shell = subprocess.Popen(["/bin/sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run_line(line):
        shell.stdin.write(line + "\n")
        shell.stdin.flush()
        return shell.stdout.readline().strip()

    run_line.pid = shell.pid
    run_line.process = shell
    with shell:
        yield run_line
        process_tree.kill_tree(shell.pid)


def test_descendants_are_found(shell, tmp_path):
    """All generations are found, also programs whose name looks like a part of /proc/PID/stat."""
    odd = tmp_path / ") S 1 (x"
    odd.symlink_to("/bin/sleep")
    child = int(shell(f"'{odd}' 1000 & echo $!"))
    parent = int(shell("sh -c 'sleep 1000 & echo $!; wait' & :"))
    found = process_tree.descendants(shell.pid)
    assert child in found
    assert parent in found
    assert len(found) == 3
    assert os.getpid() not in found
    assert found < process_tree.descendants(os.getpid())


def test_zombies_are_not_descendants():
    """A zombie cannot be killed, and its children have another parent."""
    with subprocess.Popen(["true"]) as child:
        while process_tree._read_stat(str(child.pid))[0] != b"Z":  # it stays one until it is waited for
            os.sched_yield()
        assert child.pid not in process_tree.descendants(os.getpid())


def test_tree_is_killed_with_or_without_its_root(shell):
    """No other process is killed."""
    shell("sleep 1000 & setsid sleep 1000 & echo")
    process_tree.kill_tree(shell.pid, including_root=False)
    assert shell("wait; echo alive") == "alive"
    process_tree.kill_tree(shell.pid)
    assert shell.process.wait() == -9


def test_killing_ended_process_has_no_effect():
    """The process may end at any moment, so this is not an error."""
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    process_tree.kill_tree(process.pid)
    assert process_tree.descendants(process.pid) == set()
    assert (process_tree.rss_bytes(process.pid), process_tree.count_children(process.pid)) == (0, 0)


def test_memory_is_in_octets():
    """This process is larger than 5 MB and smaller than 5 GB."""
    assert 5e6 < process_tree.rss_bytes(os.getpid()) < 5e9
