"""The command line, called as tests do."""

from __future__ import annotations

from tools.harness import phybench

RUN = ("run", "-r", "identity", "-r", "shout", "-g", "bar", "-j", "brightness")


def run(*more: str, code: int = 0):
    done = phybench(*RUN, "-p", "prompts.txt", "--executor", "serial", "--no-plots", *more)
    assert done.returncode == code, done.stderr
    return done
