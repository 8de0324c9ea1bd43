"""Readers of other tools, run in their own environment (`make .venv/.format-readers`) on files of a test.

A program of `tests/formats/readers/programs` is given paths and prints one JSON value; it never sees our code, and
masks come out as pycocotools of that environment packs them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from avis_data.masks.rle import Rle, decode
from support.places import TESTS

__all__ = ["answer_of", "same_pixels"]

_PYTHON = Path(sys.prefix) / "format-readers" / "bin" / "python"
_PROGRAMS = TESTS / "formats" / "readers" / "programs"


def answer_of(program: str, *arguments: str | Path, home: Path) -> Any:
    """What a program prints. Skips the test where the environment is not made.

    Args:
        program: its name without `.py`.
        arguments: what it is given.
        home: an empty folder that takes whatever the tool wants to keep (settings, databases).
    """
    if not _PYTHON.is_file():
        pytest.skip("needs the readers of other tools' formats in their own environment: make .venv/.format-readers")
    home.mkdir(parents=True, exist_ok=True)
    quiet = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "QT_QPA_PLATFORM": "offscreen",
        "FIFTYONE_DO_NOT_TRACK": "true",
    }
    command = [str(_PYTHON), str(_PROGRAMS / f"{program}.py"), *map(str, arguments)]
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | quiet
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    if "Could not connect to `mongod`" in ended.stderr:  # FiftyOne took another port of its database for the right one
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert ended.returncode == 0, f"{program}: {ended.stderr[-3000:]}"
    return json.loads(ended.stdout.splitlines()[-1])


def same_pixels(found: dict[str, Any] | None, mask: Rle | None) -> bool:
    """Whether a mask in COCO's dict form and one of ours are the same pixels, or both are not there."""
    if found is None or mask is None:
        return found is None and mask is None
    height, width = found["size"]
    return bool((decode(Rle(height, width, found["counts"])) == decode(mask)).all())
