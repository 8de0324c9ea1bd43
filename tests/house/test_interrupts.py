"""Tests send SIGINT to what they start, also where the suite itself was started with SIGINT ignored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from support.places import TESTS

PROGRAM = """
import conftest
import signal, subprocess, sys

ask = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
print(subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True).stdout)
"""


def test_what_a_test_starts_can_be_interrupted_under_nohup() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip() == "True", ran.stderr
