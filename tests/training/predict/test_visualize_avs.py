"""`avis-data visualize` of masks: the same masks as predicted, by class, with the sound, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from avis_data.formats.avsbench_clips import open_layout
from avis_data.masks.rle import decode
from avis_data.training.predict.results import mask_picture
from avis_data.training.predict.visualize_avs import masks_view
from support.avsbench_world import SIDE, scene, write_avss, write_ms3
from support.tiny_training import in_process


def shown_masks(row: tuple[object, ...]) -> np.ndarray:
    """(frames, height, width) of a row of a view."""
    return np.stack([np.zeros((SIDE, SIDE), bool) if mask is None else decode(mask).astype(bool) for mask in row])


def test_masks_of_probabilities_are_shown_above_one_half(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_ms3(tmp_path / "Multi-sources")
    _, masks, _ = scene(120)  # the first clip of the split test
    masks[3] = False
    folder = tmp_path / "masks" / "multi20"
    folder.mkdir(parents=True)
    for number, mask in enumerate(masks, start=1):
        mask_picture(np.where(mask, 0.1, -0.1), 1).save(folder / f"multi20_{number}.png")
    (clip,) = (clip for clip in open_layout(root).clips("test") if clip.clip_id == "multi20")
    view = masks_view(clip, tmp_path / "masks", "test", {1: "sounding"})
    assert [track.label for track in view.tracks] == ["sounding"] and view.tracks[0].masks[3] is None
    np.testing.assert_array_equal(shown_masks(view.tracks[0].masks), masks)
    given = ("visualize", "--data", root, "--pred", tmp_path / "masks", "--out", tmp_path / "shown")
    ran = in_process(capsys, *given, "--clips", "multi20", "--json")
    assert ran.code == 0, ran.err
    assert [Path(file).name for file in ran.json["files"]] == ["multi20.mp4", "multi20.png"]
    with av.open(str(tmp_path / "shown" / "multi20.mp4")) as video:
        assert [stream.type for stream in video.streams] == ["video", "audio"]
        assert abs(float(video.duration) / av.time_base - 5) < 0.2
    with Image.open(tmp_path / "shown" / "multi20.png") as sheet:
        assert sheet.width > 300
    every = in_process(capsys, *given)
    assert every.code == 3 and "multi21_1.png: no such mask" in every.err and "avis-data predict" in every.err
    nobody = in_process(capsys, *given, "--clips", "nobody")
    assert nobody.code == 3 and "has no clip nobody in 'test'" in nobody.err


def test_masks_of_two_models_are_panels_and_a_clip_that_one_lacks_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_ms3(tmp_path / "Multi-sources")
    clips = {clip.clip_id: clip for clip in open_layout(root).clips("test")}
    for model, clip_ids in (("avs-bg", clips), ("tpavi", ["multi20"])):
        for clip_id in clip_ids:
            folder = tmp_path / model / clips[clip_id].result
            folder.mkdir(parents=True)
            for name in clips[clip_id].result_names:
                mask_picture(np.full((SIDE, SIDE), 0.1 if model == "avs-bg" else -0.1), 1).save(folder / name)
    both = ("--pred", tmp_path / "avs-bg", "--pred", tmp_path / "tpavi")
    ran = in_process(capsys, "visualize", "--data", root, "--out", tmp_path / "v", *both)
    assert ran.code == 3 and "tpavi/multi21/multi21_1.png: no such mask" in ran.err, ran.err
    assert f"1 of {len(clips)} clips are in {tmp_path / 'v'}; not the others" in ran.err
    assert sorted(path.name for path in (tmp_path / "v").iterdir()) == ["multi20.mp4", "multi20.png"]
    with av.open(str(tmp_path / "v" / "multi20.mp4")) as video:
        picture = next(video.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    left, right = picture[26:666, :640], picture[26:666, 644:]
    assert np.abs(left - right).mean() > 30  # all of it is masked on the left, nothing on the right


@pytest.mark.parametrize("as_palette", [True, False])
def test_classes_have_a_row_each_and_the_size_of_the_still(tmp_path: Path, as_palette: bool) -> None:
    """As `predict` writes them, and in colours, as AVSS's own labels are."""
    layout = open_layout(write_avss(tmp_path / "avss"))
    (clip,) = (clip for clip in layout.clips("test") if clip.clip_id == "v2/v2_2")
    _, masks, sounding = scene(202, 10)
    predicted = tmp_path / "avss"
    if as_palette:
        predicted = tmp_path / "masks"
        (predicted / clip.result).mkdir(parents=True)
        for mask, number, name in zip(masks, sounding, clip.result_names, strict=True):
            small = mask[::2, ::2] * (number + 1)
            mask_picture(small, 3).save(predicted / clip.result / name)
    view = masks_view(clip, predicted, "test", layout.categories)
    labels = ["red", "green"]
    assert [track.label for track in view.tracks] == [labels[number] for number in sorted(set(sounding))]
    for number, track in zip(sorted(set(sounding)), view.tracks, strict=True):
        assert [mask is not None for mask in track.masks] == [heard == number for heard in sounding]
        true = masks & (np.asarray(sounding) == number)[:, None, None]
        agree = shown_masks(track.masks) == true
        assert agree.all() if not as_palette else agree.mean() > 0.95


def test_what_cannot_be_shown_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_ms3(tmp_path / "ms3", clips_per_split=1)
    (tmp_path / "masks" / "multi20").mkdir(parents=True)
    (tmp_path / "masks" / "multi20" / "multi20_1.png").write_bytes(b"no picture")
    given = ("--pred", tmp_path / "masks", "--out", tmp_path / "shown")
    bad = in_process(capsys, "visualize", "--data", root, *given)
    assert bad.code == 3 and "multi20_1.png: cannot be read as a picture" in bad.err
    split = in_process(capsys, "visualize", "--data", root, *given, "--on", "dev")
    assert split.code == 3 and "lists no clip of 'dev'" in split.err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "test.json").write_text(json.dumps({}))
    other = in_process(capsys, "visualize", "--data", tmp_path / "other", *given)
    assert other.code == 3 and "is no AVSBench dataset" in other.err and not (tmp_path / "shown").exists()
