"""Croissant: mlcroissant validates and loads it, files are as they are described, everything comes back."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from avis_data.errors import ConfigError, DataError
from avis_data.formats.hubs.about import About
from avis_data.formats.hubs.croissant import CROISSANT, CroissantReader, CroissantWriter, Publication
from avis_data.formats.sets.clips import LabelledClip
from avis_data.io import sha256_file
from avis_data.masks.rle import Rle, decode
from support.labelled_sets import (
    check_all_comes_back,
    check_expected,
    facts_of,
    odd_clips,
    read_set,
    with_embeddings,
    write_set,
)
from support.places import NEEDS_SHARED, SHARED

if TYPE_CHECKING:
    import mlcroissant

RAI = "http://mlcommons.org/croissant/RAI/"


@pytest.fixture(scope="module")
def clips() -> list[LabelledClip]:
    found = with_embeddings([clip for seed in range(3) for clip in odd_clips(seed)])
    found[0] = replace(found[0], sound=None, embeddings_TD=None, license=None, url="https://example.com/v")
    return sorted(found, key=lambda clip: clip.name)


def loaded(folder: Path) -> mlcroissant.Dataset:
    """What mlcroissant makes of it; its complaints are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages that it imports
        import mlcroissant

        return mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))


def records(dataset: mlcroissant.Dataset, name: str) -> list[dict[str, Any]]:
    """Without the name of the record set in each key, and text as text."""
    found = []
    for record in dataset.records(name):
        found.append(
            {
                key.rpartition("/")[2]: value.decode() if isinstance(value, bytes) and "audio" not in key else value
                for key, value in record.items()
            }
        )
    return found


@pytest.mark.cell("croissant", "trip", "out")
@pytest.mark.parametrize("seed", range(6))
def test_everything_comes_back(seed: int, tmp_path: Path) -> None:
    clips = with_embeddings(odd_clips(seed, 5))
    check_all_comes_back(CROISSANT, tmp_path / "set", clips)


@pytest.mark.cell("croissant", "reader")
def test_mlcroissant_validates_it_and_loads_clips_and_masks(clips: list[LabelledClip], tmp_path: Path) -> None:
    said = Publication(creator="A lab", page="https://example.com/set", published="2026-11-29")
    write_set(replace(CROISSANT, writer=CroissantWriter(publication=said)), tmp_path, clips)
    dataset = loaded(tmp_path)
    issues = dataset.metadata.ctx.issues
    assert not issues.errors and not issues.warnings
    rows = {row["clip_id"]: row for row in records(dataset, "clips")}
    assert sorted(rows) == [clip.name for clip in clips]
    for clip in clips:
        row = rows[clip.name]
        for name in ("split", "width", "height", "fps", "license", "source", "url", "start_s", "has_truth"):
            assert row[name] == getattr(clip, name), name
        assert row["audio"] == (None if clip.sound is None else clip.sound.read())
        assert (row["embeddings"] is None) == (clip.embeddings_TD is None)
        if clip.embeddings_TD is not None:
            assert np.array_equal(np.float32(row["embeddings"]), clip.embeddings_TD())
        for picture, still in zip(row["images"], clip.stills, strict=True):
            assert still.picture is not None
            with Image.open(io.BytesIO(still.picture.read())) as truth:
                assert picture.convert("RGB").tobytes() == truth.convert("RGB").tobytes()
    masks = records(dataset, "masks")
    wanted = [
        (clip.name, clip.split, track.track_id, track.category, place, track.sounding[place], decode(mask).tobytes())
        for clip in clips
        for track in clip.tracks
        for place, mask in enumerate(track.masks)
        if mask is not None
    ]
    assert len(wanted) > 30 and wanted == [
        (
            *(row[name] for name in ("clip_id", "split", "track_id", "category", "still", "sounding")),
            decode(Rle(row["height"], row["width"], row["counts"])).tobytes(),
        )
        for row in masks
    ]


def test_every_file_is_described_with_its_hash(clips: list[LabelledClip], tmp_path: Path) -> None:
    names = write_set(CROISSANT, tmp_path, clips)
    said = json.loads((tmp_path / "croissant.json").read_text())
    files = {entry["contentUrl"]: entry for entry in said["distribution"] if entry["@type"] == "cr:FileObject"}
    assert sorted([*files, "croissant.json"]) == names
    for name, entry in files.items():
        assert entry["sha256"] == sha256_file(tmp_path / name)
        assert entry["contentSize"] == f"{(tmp_path / name).stat().st_size} B"
    write_set(CROISSANT, tmp_path / "again", clips)
    assert all((tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)


def test_it_says_how_the_set_was_made_and_how_clips_are_removed(clips: list[LabelledClip], tmp_path: Path) -> None:
    report = tmp_path / "agreement.json"
    report.write_text('{"clips": 7, "iou": {"mean": 0.81}}')
    about = About(contact="data@example.com", agreement=str(report))
    truth = {"selection": "accepted", "clips_by": {"accepted": 12}, "origins": {"sam2": 30, "person": 4}}
    facts = replace(facts_of(clips), certificate={"truth": truth, "split": {"sources_in_two_splits": []}})
    spec = replace(CROISSANT, writer=CroissantWriter(about=about, publication=Publication(creator="A lab")))
    write_set(spec, tmp_path / "set", clips, facts)
    told = loaded(tmp_path / "set").metadata
    assert "Clips of one source video are in one split" in told.data_collection
    assert "accepted 12" in told.data_annotation_protocol[0] and "sam2 30" in told.machine_annotation_tools[0]
    assert "iou mean 0.81" in told.data_annotation_analysis[0]
    assert "resolution of the stills" in told.data_limitations[0]
    assert "data@example.com" in told.data_release_maintenance_plan
    assert sorted(told.license) == [
        "https://creativecommons.org/licenses/by/4.0/",
        "https://creativecommons.org/publicdomain/zero/1.0/",
        "not stated for 1 clips (LICENSES.csv)",
    ]
    assert told.url is None and told.date_published is None, "nothing is made up"
    said = json.loads((tmp_path / "set" / "croissant.json").read_text())
    assert said["conformsTo"] == ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
    assert said["citeAs"] == "@misc{odd, title={odd}, version={1.0.0}, author={A lab}}"
    with pytest.raises(ConfigError, match="--published soon"):
        spec = replace(CROISSANT, writer=CroissantWriter(publication=Publication(published="soon")))
        write_set(spec, tmp_path / "none", clips)


@NEEDS_SHARED
@pytest.mark.cell("croissant", "in")
def test_the_fixture_of_mlcroissant_is_read() -> None:
    fixture = SHARED / "format_fixtures" / "croissant"
    told = json.loads((fixture / "expected.json").read_text())
    for path in (fixture, fixture / "croissant.json"):
        assert CroissantReader().looks_right(path)
        (clip,) = read_set(CROISSANT, path)
        assert clip.name == told["records"][0]["clips/clip_id"]
        check_expected(clip, json.loads((fixture.parent / "hf" / "expected.json").read_text()))


def test_descriptions_of_others_are_read(clips: list[LabelledClip], tmp_path: Path) -> None:
    """An older version under its full name, a set of files instead of each, files that came from elsewhere."""
    write_set(CROISSANT, tmp_path, clips[:4])
    path = tmp_path / "croissant.json"
    said = json.loads(path.read_text())
    del said["conformsTo"]
    said["dct:conformsTo"] = "http://mlcommons.org/croissant/1.0"
    of_sets = said | {"distribution": [{"@type": "cr:FileSet", "includes": ["data/*.parquet"]}]}
    for entry in said["distribution"]:
        if str(entry.get("contentUrl")).startswith("data/"):
            entry["contentUrl"] = f"https://example.com/resolve/{entry['contentUrl'].rpartition('/')[2]}"
            (tmp_path / entry["@id"]).rename(tmp_path / entry["@id"].rpartition("/")[2])
    del said["distribution"][-1]
    path.write_text(json.dumps(said))
    assert [clip.name for clip in read_set(CROISSANT, tmp_path)] == [clip.name for clip in clips[:4]]
    for file in tmp_path.glob("*-of-*.parquet"):
        file.rename(tmp_path / "data" / file.name)
    path.write_text(json.dumps(of_sets))
    assert [clip.name for clip in read_set(CROISSANT, path)] == [clip.name for clip in clips[:4]]


CASES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a newer version": (lambda said: said.update(conformsTo="http://mlcommons.org/croissant/2.0"), "Croissant 1.x"),
    "no version": (lambda said: said.pop("conformsTo"), "Croissant 1.x"),
    "no files": (lambda said: said.update(distribution=None), "distribution: must be a list"),
    "a path out": (lambda said: said["distribution"][2].update(contentUrl="../x.parquet"), "no path inside"),
    "a file that is gone": (lambda said: said["distribution"][2].update(contentUrl="x.parquet"), "is not beside it"),
    "another file": (
        lambda said: [entry.update(sha256="0" * 64) for entry in said["distribution"][2:4]],
        "is not the file that",
    ),
    "other tables": (
        lambda said: said.update(distribution=[e for e in said["distribution"] if e["@id"] == "masks.parquet"]),
        "no Parquet file with the columns",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_description_that_does_not_hold_is_refused(name: str, clips: list[LabelledClip], tmp_path: Path) -> None:
    write_set(CROISSANT, tmp_path, clips[:4])
    path = tmp_path / "croissant.json"
    said = json.loads(path.read_text())
    change, message = CASES[name]
    change(said)
    path.write_text(json.dumps(said))
    with pytest.raises(DataError, match=message):
        list(CroissantReader().read(tmp_path))
