"""The text of the package `training` is where a reader starts: all its files can be found from there."""

from __future__ import annotations

import re
from pathlib import Path

import avis_data.training

ROOT = Path(avis_data.training.__file__).parent


def test_every_module_is_named_and_every_name_is_a_module() -> None:
    text = avis_data.training.__doc__ or ""
    said = {Path(name).name for name in re.findall(r"[\w/]+\.py", text)}
    here = {
        path.name
        for folder in (".", "data", "models", "predict", "run", "checkpoints")
        for path in (ROOT / folder).glob("*.py")
    }
    parts = {path.name for path in ROOT.rglob("*.py")}
    assert here - {"__init__.py"} <= said
    assert said <= parts


def test_a_model_in_a_folder_names_its_parts_in_its_first_file() -> None:
    for folder in ("avism", "rcf", "afcv", "avs_bg"):
        text = (ROOT / "models" / folder / "model.py").read_text(encoding="utf-8").split('"""')[1]
        parts = {path.name for path in (ROOT / "models" / folder).glob("*.py")} - {"__init__.py", "model.py"}
        assert parts <= {Path(name).name for name in re.findall(r"[\w/]+\.py", text)}, (folder, parts)
