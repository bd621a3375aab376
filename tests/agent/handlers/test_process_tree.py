"""What the kernel knows of processes."""

from __future__ import annotations

import os
import subprocess

import pytest

from agent.handlers import process_tree


@pytest.fixture
def shell():
    """A shell that does what it is told, line by line, and says how far it is."""
    shell = subprocess.Popen(["/bin/sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(line):
        shell.stdin.write(line + "\n")
        shell.stdin.flush()
        return shell.stdout.readline().strip()

    tell.pid = shell.pid
    tell.process = shell
    with shell:
        yield tell
        process_tree.kill_tree(shell.pid)


def test_all_that_is_below(shell, tmp_path):
    """Children and their children; also programs with odd names, which stand before the parent's number."""
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


def test_the_dead_are_left_out():
    """A zombie cannot be ended, and what was below it is elsewhere."""
    with subprocess.Popen(["true"]) as child:
        while process_tree._read_stat(str(child.pid))[0] != b"Z":  # it stays one until it is waited for
            os.sched_yield()
        assert child.pid not in process_tree.descendants(os.getpid())


def test_a_tree_is_ended_with_or_without_its_root(shell):
    """And nobody else is."""
    shell("sleep 1000 & setsid sleep 1000 & echo")
    process_tree.kill_tree(shell.pid, including_root=False)
    assert shell("wait; echo alive") == "alive"
    process_tree.kill_tree(shell.pid)
    assert shell.process.wait() == -9


def test_ending_what_is_gone():
    """Is no mistake."""
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    process_tree.kill_tree(process.pid)
    assert process_tree.descendants(process.pid) == set()
    assert (process_tree.rss_bytes(process.pid), process_tree.count_children(process.pid)) == (0, 0)


def test_how_big_a_process_is():
    """In octets: this one is bigger than 5 MB and smaller than 5 GB."""
    assert 5e6 < process_tree.rss_bytes(os.getpid()) < 5e9
