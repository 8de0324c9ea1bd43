"""There is one way to do what many modules do: to log, to know the rate of a clip's sound, to name folders."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from support.places import ROOT

FILES = [path for room in ("avis_data", "pipelines", "annotation", "training") for path in (ROOT / room).rglob("*.py")]


def lines_with(pattern: str) -> dict[Path, list[str]]:
    found = {path: re.findall(pattern, path.read_text(encoding="utf-8"), flags=re.MULTILINE) for path in FILES}
    return {path.relative_to(ROOT): lines for path, lines in found.items() if lines}


def test_modules_log_by_one_name() -> None:
    found = lines_with(r"^.*getLogger\(.*$")
    set_up = found.pop(Path("avis_data/log.py"))
    assert len(set_up) == 1 and len(found) > 10
    assert {line for lines in found.values() for line in lines} == {"logger = logging.getLogger(__name__)"}


def test_the_rate_of_a_clips_sound_stands_in_one_place() -> None:
    found = lines_with(r"^.*= 16_?000$")
    assert {path: lines for path, lines in found.items() if path.name != "records.py"} == {
        Path("avis_data/media/sound.py"): ["SAMPLE_RATE_HZ = 16000"]
    }
    assert "sample_rate_hz: Literal[16000]" in found[Path("avis_data/records.py")][0], "a type must say the number"


SPELLED = {
    "avis_data/formats/aviseg_folders.py": ["JPEGImages", "WAVAudios", "FEATAudios", "FEATWindows"],
    "avis_data/formats/avsbench.py": [
        *("Single-source", "Multi-sources", "_meta_data.csv", "metadata.csv", "label2idx.json"),
        *("visual_frames", "gt_masks", "audio_wav", "audio_log_mel", "labels_rgb", "v1m"),
    ],
}
"""The one module that spells these names of folders and files of a layout."""


@cache
def names_and_paths(path: Path) -> set[str]:
    """The strings of a module, or their parts, that can be names or paths: not its prose."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in alone]
    return {node.value for node in strings if isinstance(node.value, str) and " " not in node.value}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in SPELLED.items() for name in names])
def test_names_of_a_layouts_folders_are_spelled_in_one_module(module: str, name: str) -> None:
    spelling = {path.resolve() for path in FILES if any(name in text for text in names_and_paths(path))}
    assert spelling == {ROOT / module}


def test_csv_is_written_in_one_place_where_no_cell_starts_a_formula() -> None:
    found = lines_with(r"csv\.(?:writer|DictWriter)\(|\.to_csv\(|write_csv\(|savetxt\(|pyarrow\.csv")
    assert set(found) == {Path("avis_data/io.py")}
