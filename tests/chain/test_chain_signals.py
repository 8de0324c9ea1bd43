"""Ctrl-C, SIGTERM and kill -9 at any moment: no traceback, nothing left running, nobody holds the output.

`AVIS_DATA_SIGNAL_MOMENTS=100 pytest tests/chain/test_chain_signals.py` is the whole campaign; by itself each command is
met at a few moments. They are drawn from a seed over the time that the command takes, from its first instant on.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.small_example import FEW_STEPS, perfect_results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for what is left in /proc"),
]
MOMENTS = int(os.environ.get("AVIS_DATA_SIGNAL_MOMENTS", "1"))
SEED = 20
INTERRUPTED = 130
_STEPS = [argument for step in FEW_STEPS for argument in ("--set", step)]
COMMANDS = {
    "fetch": ["fetch", "--list", "world/videos.csv", "--allow-local", "--sleep", "0", "--force", "-j", "2"],
    "extract": ["extract", "--force", "-j", "2"],
    "embed": ["embed", "--untrained", "--force", "-j", "2"],
    "export": ["export", "--split", "8/2/2", "--seed", "1", "--force", "-j", "2"],
    "evaluate": ["evaluate", "--pred", "results.json", "--truth", "exports/ytvis/train.json", "--json", "-j", "2"],
    "train-baseline": [
        *("train-baseline", "--config", "avism_tiny", "--data", "exports/ytvis", "--out", "run"),
        *(argument for step in (*FEW_STEPS, "data.workers=2") for argument in ("--set", step)),
    ],
}
"""Each does all its work again when it is run again."""


@dataclass(frozen=True)
class Ended:
    """How a command that was met by a signal ended."""

    code: int
    out: str
    err: str
    left: list[str] = field(default_factory=list)
    """Command lines of processes that outlived it."""

    def problem(self, number: signal.Signals) -> str | None:
        """What is wrong with that end, if anything."""
        if self.left:
            return f"still running: {self.left}"
        if number is signal.SIGKILL:  # what it says then is not ours to choose
            return None if self.code in (0, -number) else f"code {self.code}"
        if self.code == -number and not self.out and not self.err:
            return None  # Python itself was starting: our first line was not there yet
        if _before_our_first_line(self, number):
            return None
        if "Traceback" in self.err or "Exception ignored" in self.err:
            return f"code {self.code}: {self.err[-1500:]}"
        if self.code == INTERRUPTED:
            told = "interrupted" in self.err or "--resume" in self.err + self.out
            began = bool(self.err or self.out)  # without a word: it came before there was anything to go on with
            return None if told or not began else f"not a word of how to go on: {self.err!r} {self.out!r}"
        if self.code == 0:
            return None  # it had ended already
        return f"code {self.code}: {self.err[-500:]}"


def _before_our_first_line(ended: Ended, number: signal.Signals) -> bool:
    """Ctrl-C met Python's own start, which tells it with a traceback that no line of ours is in."""
    told = "KeyboardInterrupt" in ended.err or "init_import_site" in ended.err
    return number is signal.SIGINT and told and "avis_data/" not in ended.err


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small workspace, its export, and predictions of its split train."""
    import avis_data as avis

    root = tmp_path_factory.mktemp("signals") / "dataset"
    export = avis.make_example(root)
    (root / "results.json").write_text(json.dumps(perfect_results(avis.open(export).split("train"))))
    return root


@pytest.mark.parametrize("name", COMMANDS)
def test_a_signal_at_any_moment_ends_a_command_clean(dataset: Path, tmp_path: Path, name: str) -> None:
    workspace = tmp_path / "dataset"
    shutil.copytree(dataset, workspace)
    rng = random.Random(f"{SEED} {name}")
    began = time.monotonic()
    whole = run(workspace, name, None, 0.0)
    lasts_s = time.monotonic() - began
    assert whole.code == 0 and not whole.left, whole
    ends, problems = Counter[str](), []
    for _ in range(MOMENTS):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            after_s, group = rng.uniform(0, lasts_s), number != signal.SIGKILL and rng.random() < 0.5
            ended = run(workspace, name, number, after_s, group=group)
            ends[f"{number.name} {ended.code}"] += 1
            if problem := ended.problem(number):
                problems.append(f"{number.name} after {after_s:.3f} s, {'all' if group else 'alone'}: {problem}")
    print(name, f"{lasts_s:.1f} s", dict(ends), f"{len(problems)} problems")
    assert not problems, "\n".join(problems)
    assert run(workspace, name, None, 0.0).code == 0, "what is left is not taken up"


def run(folder: Path, name: str, number: signal.Signals | None, after_s: float, *, group: bool = False) -> Ended:
    """Start a command in a session of its own and send it a signal, alone or with all that it started, as Ctrl-C is."""
    mark = uuid.uuid4().hex
    shutil.rmtree(folder / "run", ignore_errors=True)  # of a training, which goes on only if it is asked to
    process = subprocess.Popen(
        [sys.executable, "-m", "avis_data", *COMMANDS[name]],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "AVIS_DATA_MARK": mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    if number is not None:
        time.sleep(after_s)
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(process.pid, number)
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        return Ended(code=-1, out="", err="", left=["holds the output, or never ends:", *marked(mark)])
    return Ended(code=process.returncode, out=out, err=err, left=wait_until_gone(mark))


def wait_until_gone(mark: str) -> list[str]:
    """What is left of a command two seconds after its end; multiprocessing's own tracker takes a moment."""
    ends = time.monotonic() + 2.0
    while (left := marked(mark)) and time.monotonic() < ends:
        time.sleep(0.05)
    return left


def marked(mark: str) -> list[str]:
    """The command lines of all processes that have the mark in their environment, whatever session they are in."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200])
        except OSError:  # it has ended meanwhile, or is somebody else's
            continue
    return found
