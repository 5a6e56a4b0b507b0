"""The cache folder: what several processes may do to it at once."""

from __future__ import annotations

import subprocess
import sys


def test_processes_can_open_a_new_cache_at_the_same_time(tmp_path):
    opening = (
        "import sys; from pathlib import Path; from phybench.units.cache import Cache\n"
        "sys.stdin.read(1)\n"
        "for number in range(8):\n"
        "    with Cache(Path(sys.argv[1]) / str(number)):\n"
        "        pass\n"
    )
    command = [sys.executable, "-c", opening, str(tmp_path)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for one in started:
        one.stdin.write("x")
        one.stdin.flush()
    assert [one.communicate(timeout=60)[1] for one in started] == ["", "", ""]
