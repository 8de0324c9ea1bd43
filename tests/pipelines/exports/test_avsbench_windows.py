"""Which five seconds become clips: hand-made truth, expected names."""

from __future__ import annotations

from pathlib import Path

import pytest

from avis_data.errors import ConfigError, DataError, ProblemsError
from avis_data.pipelines.exports import FORMATS
from avis_data.pipelines.exports.plan import ExportOptions, ExportPlan, plan_export
from support.fake_workspace import FakeClip, FakeTrack, make_workspace


def plan(root: Path, clips: list[FakeClip], dataset: str, **options: object) -> ExportPlan:
    options = {"split": "100/0/0", **options}
    return plan_export(make_workspace(root, clips), FORMATS[dataset], ExportOptions(name="x", **options))


def names(found: ExportPlan) -> dict[str, list[str]]:
    return {split: [piece.name for piece in pieces] for split, pieces in found.splits.items()}


def one_clip(*tracks: tuple[str, tuple[int, ...]], seconds: int = 14) -> list[FakeClip]:
    made = tuple(
        FakeTrack(track_id=f"t{k}", category=category, sounding=sounding, silent=(13,))
        for k, (category, sounding) in enumerate(tracks)
    )
    return [FakeClip(clip_id="a", video_id="v", num_seconds=seconds, tracks=made)]


@pytest.mark.parametrize(
    ("tracks", "s4", "ms3"),
    [
        ([("dog", tuple(range(13)))], ["a_0", "a_5"], ["a_0", "a_5"]),
        ([("dog", (7,))], ["a_7"], ["a_3"]),  # S4 begins with sound, MS3 only holds some
        ([("dog", (11,))], [], ["a_7"]),  # no five seconds from 11 on
        ([("dog", (0, 1)), ("cat", (3,))], ["a_3"], ["a_0"]),  # S4: not before the dog is over
        ([("dog", (0, 1)), ("cat", (6, 8))], ["a_0", "a_6"], ["a_0", "a_5"]),
        ([("dog", (2, 3)), ("dog", (3, 4))], ["a_2"], ["a_0"]),  # two dogs are one category
    ],
)
def test_where_windows_begin(tmp_path: Path, tracks: list, s4: list[str], ms3: list[str]) -> None:
    for dataset, expected in (("avsbench-s4", s4), ("avsbench-ms3", ms3)):
        if expected:
            found = plan(tmp_path / dataset, one_clip(*tracks), dataset)
            assert names(found)["train"] == expected
        else:
            with pytest.raises(DataError, match="none of 1 clip"):
                plan(tmp_path / dataset, one_clip(*tracks), dataset)


def test_silent_seconds_are_counted_and_short_clips_left_out(tmp_path: Path) -> None:
    clips = [*one_clip(("dog", (1, 2)), ("cat", (2, 3))), FakeClip(clip_id="b", video_id="w", num_seconds=4)]
    clips[1] = FakeClip(clip_id="b", video_id="w", num_seconds=4, tracks=(FakeTrack(track_id="t"),))
    found = plan(tmp_path, clips, "avsbench-ms3")
    assert found.unfit == ("b",)
    total = found.as_dict()["counts"]["total"]
    assert total == {
        "clips": 1,
        "sources": 1,
        "seconds": 5,
        "silent_seconds": 2,
        "single_seconds": 2,
        "multi_seconds": 1,
    }


def several(num_sources: int = 6) -> list[FakeClip]:
    """Two windows each; two clips of the first source."""
    every = FakeTrack(track_id="t", sounding=tuple(range(10)))
    clips = [FakeClip(clip_id=f"c{k}", video_id=f"v{k}", num_seconds=10, tracks=(every,)) for k in range(num_sources)]
    return [*clips, FakeClip(clip_id="other", video_id="v0", num_seconds=10, tracks=(every,))]


def test_clips_of_one_source_stay_on_one_side(tmp_path: Path) -> None:
    found = plan(tmp_path, several(), "avsbench-s4", split="8/4/2", seed=2)
    assert {split: len(windows) for split, windows in names(found).items()} == {"train": 8, "val": 4, "test": 2}
    sides: dict[str, set[str]] = {}
    for split, windows in found.splits.items():
        for window in windows:
            sides.setdefault(window.item.clip.video_id, set()).add(split)
    assert all(len(of_source) == 1 for of_source in sides.values())


def test_a_written_division_names_whole_clips(tmp_path: Path) -> None:
    clips = [*several(2), FakeClip(clip_id="short", video_id="s", num_seconds=3, tracks=(FakeTrack(track_id="t"),))]
    (tmp_path / "split.csv").write_text("clip_id,split\nc0,train\nother,train\nc1,val\nshort,val\n")
    found = plan(tmp_path / "ws", clips, "avsbench-s4", split=None, split_file=tmp_path / "split.csv")
    assert names(found) == {"train": ["c0_0", "c0_5", "other_0", "other_5"], "val": ["c1_0", "c1_5"]}
    (tmp_path / "split.csv").write_text("clip_id,split\nc0,train\nother,val\nc1,val\nnobody,val\n")
    with pytest.raises(ProblemsError, match="'nobody' is no clip") as error:
        plan(tmp_path / "ws2", clips, "avsbench-s4", split=None, split_file=tmp_path / "split.csv")
    assert "source 'v0' would be divided" in str(error.value)


def test_the_split_of_the_list_is_that_of_its_windows(tmp_path: Path) -> None:
    every = FakeTrack(track_id="t", sounding=tuple(range(10)))
    clips = [
        FakeClip(clip_id=f"c{k}", video_id=f"v{k}", num_seconds=10, tracks=(every,), split=split)
        for k, split in enumerate(("test", "train", "val"))
    ]
    found = plan(tmp_path, clips, "avsbench-ms3", split=None)
    assert names(found) == {"train": ["c1_0", "c1_5"], "val": ["c2_0", "c2_5"], "test": ["c0_0", "c0_5"]}


def test_numbers_are_of_five_second_clips(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sums to 7, but there are 14 clips"):
        plan(tmp_path, several(), "avsbench-s4", split="5/1/1")
