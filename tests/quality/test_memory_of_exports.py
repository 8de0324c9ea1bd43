"""`stats`, `validate`, `diff` and `report` hold one clip of an export at a time, however many there are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from avis_data.cli.pictured import clips_of, figures_of
from avis_data.formats.sets import json_tables
from avis_data.quality import validate
from avis_data.quality.stats import dataset_stats
from avis_data.report.dataset import write_dataset_page
from avis_data.versions.changes import compare_versions
from avis_data.versions.version import read_version
from benchmarks.scale_export import build_export
from support.memory import peak_bytes

FEW, MANY = 20, 220
BYTES_OF_CLIP = 4000
"""What may be left of a clip: ids, places and names, pieces of a file that is hashed. With its labels it is 13 kB."""


def compared(root: Path) -> None:
    changes = compare_versions(read_version(root), read_version(root))
    assert changes.is_empty and changes.counts["videos"]["same"] == int(root.name)


def reported(root: Path, out: Path) -> None:
    write_dataset_page(clips_of(root), out / "page.html", max_clips=1, figures=figures_of(root)[:0])


COMMANDS: dict[str, Callable[[Path, Path], object]] = {
    "stats": lambda root, out: dataset_stats(root),
    "validate": lambda root, out: validate(root),
    "diff": lambda root, out: compared(root),
    "report": reported,
}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Two exports, the second of eleven times the clips."""
    found = {number: tmp_path_factory.mktemp("export") / str(number) for number in (FEW, MANY)}
    for number, root in found.items():
        build_export(root, number)
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_memory_does_not_grow_with_the_clips(
    name: str, exports: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_tables, "_CHUNK_BYTES", 1 << 14)  # small beside the files of this test, too
    COMMANDS[name](exports[FEW], tmp_path)  # what is imported on the way is no memory of clips
    peaks = {number: peak_bytes(partial(COMMANDS[name], root, tmp_path)) for number, root in exports.items()}
    assert peaks[MANY] - peaks[FEW] < BYTES_OF_CLIP * (MANY - FEW), peaks


def test_a_made_up_export_is_one(exports: dict[int, Path]) -> None:
    """Else the figures above would be those of something else."""
    found = validate(exports[FEW], deep=True).as_dict()
    assert found["clean"] and set(found["by_code"]) <= {"form-rle", "category-unused"}
    assert found["files"] == {"listed": 7 * FEW + 3, "found": 7 * FEW + 3, "hashed": 7 * FEW + 3}
    assert sum(split["num_videos"] for split in found["checked"].values()) == FEW
