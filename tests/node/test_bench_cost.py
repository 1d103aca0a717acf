"""The bench counts all processes of a network, and says which targets were met."""

from __future__ import annotations

import os
import signal
import subprocess

from benchmarks.cost import Line, table
from benchmarks.over_http import descendants


def test_processes_of_processes_count() -> None:
    """Titles overwrite environments and command lines, so parents say what belongs to a network."""
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        grandchild = int(shell.stdout.readline())
        try:
            assert {shell.pid, grandchild} <= set(descendants(os.getpid()))
            assert descendants(shell.pid) == [grandchild]
        finally:
            os.kill(grandchild, signal.SIGKILL)


def test_a_line_beyond_its_target_is_missed() -> None:
    lines = [Line("a", 3.0, target=2.0), Line("b", 2.0, target=2.0), Line("c", 1.0)]
    assert [line.verdict for line in lines] == ["missed", "met", ""]
    assert "| a | 3 checks | <= 2 | missed |" in table(lines)
