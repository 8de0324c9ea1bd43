"""RTTM and AVA's CSV as they are written: what comes back, what the official readers find, what is left out."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.turns.ava import AVA_SPEAKER, AvaWriter
from avis_data.formats.turns.reading import read_turns
from avis_data.formats.turns.records import flags_by, unmatched
from avis_data.formats.turns.rttm import RTTM, RttmWriter
from avis_data.masks.rle import decode
from support.labelled_sets import check_round_trip, odd_clips, write_set

SPECS = {
    "rttm": RTTM,
    "rttm of persons": replace(RTTM, writer=RttmWriter(persons_only=True)),
    "ava-speaker": AVA_SPEAKER,
    "ava-speaker of all": replace(AVA_SPEAKER, writer=AvaWriter(all_objects=True)),
}


def clips_of(seed: int) -> list[LabelledClip]:
    return odd_clips(seed, 6, fps=(1.0, 2.0, 4.0)[seed % 3])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.cell(spec.name, "trip")) for name, spec in SPECS.items()]
)
@pytest.mark.parametrize("seed", range(6))
def test_every_time_comes_back(name: str, seed: int, tmp_path: Path) -> None:
    check_round_trip(SPECS[name], tmp_path / "set", clips_of(seed))


@pytest.mark.cell("rttm", "reader")
def test_pyannote_finds_every_second_that_sounds_and_no_other(tmp_path: Path) -> None:
    from pyannote.database.util import load_rttm, load_uem  # imports matplotlib

    clips = sorted((clip for seed in range(5) for clip in odd_clips(seed, 4)), key=lambda clip: clip.name)
    write_set(RTTM, tmp_path, clips)
    seen = 0
    for split in ("train", "val", "test"):
        found = load_rttm(str(tmp_path / f"{split}.rttm"))
        lengths = load_uem(str(tmp_path / f"{split}.uem"))
        for clip in (clip for clip in clips if clip.split == split):
            assert lengths[clip.name].extent().end == len(clip.stills)
            labels = found[clip.name].labels() if clip.name in found else []
            for track in clip.tracks:
                name = f"{track.category}_{track.track_id}"
                assert (name in labels) == any(track.sounding)
                turns = list(found[clip.name].label_timeline(name)) if name in labels else []
                places = range(len(clip.stills))
                heard = [any(turn.start <= place + 0.5 < turn.end for turn in turns) for place in places]
                assert heard == [flag is True for flag in track.sounding]
                assert sum(turn.duration for turn in turns) == sum(heard)
                assert all(after.start > before.end for before, after in pairwise(turns)), "joined"
                seen += sum(heard)
    assert seen > 20


@pytest.mark.parametrize("name", ["rttm", "ava-speaker of all"])
def test_what_is_written_says_the_same_of_a_set_that_has_only_masks(name: str, tmp_path: Path) -> None:
    """Over `--sounding FILE`."""
    clips = odd_clips(7, 8)
    write_set(SPECS[name], tmp_path, clips)
    files = {clip.name: tmp_path / f"{clip.split}.rttm" for clip in clips}
    if name != "rttm":
        files = {clip.name: tmp_path / f"{clip.split}/{clip.name}-activespeaker.csv" for clip in clips}
    for clip in clips:
        if not any(flag for track in clip.tracks for flag in track.sounding):
            continue
        turns = read_turns(files[clip.name])
        assert turns.problems == () and unmatched(turns, [clip]) == []
        for track in clip.tracks:
            found = flags_by(turns)(clip, track)
            for mask, meant, said in zip(track.masks, track.sounding, found, strict=True):
                if mask is not None:
                    assert said == (bool(meant) if name == "rttm" else meant)


def test_rows_of_ava_have_the_box_of_each_mask_and_nothing_that_nobody_said(tmp_path: Path) -> None:
    clips = odd_clips(9, 8)
    write_set(SPECS["ava-speaker of all"], tmp_path, clips)
    seen = unsaid = 0
    for clip in clips:
        with (tmp_path / f"{clip.split}/{clip.name}-activespeaker.csv").open() as file:
            rows = list(csv.DictReader(file))
        for track in clip.tracks:
            own = {row["frame_timestamp"]: row for row in rows if row["entity_id"].endswith(f"_{track.track_id}")}
            for place in track.frames:
                if track.sounding[place] is None:
                    assert f"{place}.00" not in own
                    unsaid += 1
                    continue
                row = own.pop(f"{place}.00")
                assert row["label"] == ("SPEAKING_AUDIBLE" if track.sounding[place] else "NOT_SPEAKING")
                y, x = np.nonzero(decode(track.masks[place] or pytest.fail("no mask")))
                meant = [x.min() / clip.width, y.min() / clip.height, (x.max() + 1) / clip.width]
                found = [float(row[f"entity_box_{corner}"]) for corner in ("x1", "y1", "x2", "y2")]
                assert found == pytest.approx([*meant, (y.max() + 1) / clip.height], abs=1e-6)
                seen += 1
            assert own == {}
        assert (tmp_path / f"{clip.split}/{clip.name}.wav").read_bytes() == clip.sound.read()  # type: ignore[union-attr]
    assert seen > 20 and f"{unsaid} masks have no row" in (tmp_path / "README.txt").read_text()


@pytest.mark.cell("ava-speaker", "reader")
def test_the_evaluation_of_ava_takes_the_rows_as_truth(tmp_path: Path) -> None:
    """Does what `get_ava_active_speaker_performance.py` does: columns by name, times and entities joined 1:1."""
    clips = [replace(clip, split="val") for seed in range(4) for clip in odd_clips(seed)]
    write_set(SPECS["ava-speaker of all"], tmp_path, clips)
    columns = [
        "video_id",
        "frame_timestamp",
        *(f"entity_box_{c}" for c in ("x1", "y1", "x2", "y2")),
        "label",
        "entity_id",
    ]
    files = [tmp_path / f"val/{clip.name}-activespeaker.csv" for clip in clips]
    truth = pd.concat([pd.read_csv(file, usecols=columns) for file in files], ignore_index=True)
    truth["uid"] = truth["frame_timestamp"].map(str) + ":" + truth["entity_id"]
    said = truth.assign(label="SPEAKING_AUDIBLE", score=(truth["label"] == "SPEAKING_AUDIBLE").astype(float))
    merged = truth.merge(said, on="uid", suffixes=("_truth", "_said"), validate="1:1")
    merged = merged.sort_values("score", ascending=False).reset_index()
    heard = (merged["label_truth"] == "SPEAKING_AUDIBLE").cumsum()
    count = sum(flag is True for clip in clips for track in clip.tracks for flag in track.sounding)
    assert heard.iloc[-1] == count > 15 and len(merged) > count
    assert heard.iloc[:count].tolist() == list(range(1, count + 1)), "a perfect ranking has the average precision 1"


def test_persons_only_leaves_the_others_out(tmp_path: Path) -> None:
    clips = [replace(clip, split="train") for clip in odd_clips(2, 10)]
    write_set(SPECS["rttm of persons"], tmp_path / "rttm", clips)
    write_set(SPECS["ava-speaker"], tmp_path / "ava", clips)
    names = {line.split()[7] for line in (tmp_path / "rttm/train.rttm").read_text().splitlines()}
    assert names and all(name.startswith("person_") for name in names)
    rows = [line for file in (tmp_path / "ava/train").glob("*.csv") for line in file.read_text().splitlines()[1:]]
    assert rows and all("_person_" in row for row in rows)
