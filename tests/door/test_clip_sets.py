"""A set of clips behaves as a list that reads nothing before it must, whatever it was opened from."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import avis_data as avis
from avis_data.features.store import read_embeddings
from avis_data.formats.ytvis import read_ytvis
from avis_data.masks.rle import decode
from support.avsbench_world import SIDE, scene, write_avss, write_ms3, write_s4


def test_opening_and_choosing_a_split_read_no_other_file(example: Path, tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    for split in ("train", "val"):
        (export / f"{split}.json").write_text("not JSON")
    (export / "test.json").write_bytes((example / "exports" / "ytvis" / "test.json").read_bytes())
    assert len(avis.open(export).split("test")) == 2
    chosen = avis.open(export).filter(lambda clip: True)
    with pytest.raises(avis.DataError, match=r"train\.json"):
        len(chosen)


def test_paths_may_be_text_or_paths(example: Path, clips: avis.ClipSet) -> None:
    assert avis.open(str(example / "exports" / "ytvis")).ids == clips.ids
    assert avis.open(str(example / "exports" / "ytvis" / "val.json")).ids == clips.split("val").ids


def test_it_is_like_a_list(clips: avis.ClipSet) -> None:
    whole = list(clips)
    assert [clip.clip_id for clip in whole] == clips.ids and len(whole) == len(clips)
    assert clips[-1] is whole[-1] and clips[3] is whole[3] and clips[clips.ids[5]] is whole[5]
    assert list(clips[2:9:3]) == whole[2:9:3] and list(clips[::-1]) == [c for c in _by_split(whole[::-1])]
    assert whole[0] in clips and clips.ids[0] in clips and "another" not in clips
    assert list(clips.filter(lambda clip: clip.split == "val")) == list(clips.split("val"))
    assert clips[:3].splits == ("train",) and not len(clips[:0])


def _by_split(clips: list[avis.Clip]) -> list[avis.Clip]:
    """A set keeps the clips of a split together."""
    return [clip for split in dict.fromkeys(c.split for c in clips) for clip in clips if clip.split == split]


def test_a_clip_is_what_its_files_say(example: Path, clips: avis.ClipSet) -> None:
    root = example / "exports" / "ytvis" / "train"
    truth = read_ytvis(root.with_suffix(".json"))
    for video, clip in zip(truth.videos, clips.split("train"), strict=True):
        with Image.open(root / "JPEGImages" / video.file_names[1]) as picture:
            assert np.array_equal(clip.still(1), np.asarray(picture))
        samples, rate = soundfile.read(root / "WAVAudios" / f"{video.name}.wav", dtype="float32")
        sound = clip.sound()
        assert np.array_equal(sound.samples_N, samples.mean(axis=1)) and sound.sample_rate_hz == rate == 16000
        assert np.array_equal(clip.embeddings(), np.load(root / "FEATAudios" / f"{video.name}.npy"))
        tracks = [track for track in truth.tracks if track.video_id == video.video_id]
        assert [track.category_id for track in clip.tracks] == [track.category_id for track in tracks]
        for mine, given in zip(clip.tracks, tracks, strict=True):
            assert mine.sounding_frames == tuple(t for t, mask in enumerate(given.masks) if mask is not None)
            for frame, mask in enumerate(given.masks):
                assert np.array_equal(mine.mask(frame), decode(mask) if mask else np.zeros(mine.size_hw, dtype=bool))


def test_the_workspace_says_the_same_as_its_export(example: Path, clips: avis.ClipSet) -> None:
    workspace = avis.open(example)
    assert sorted(workspace.ids) == sorted(clips.ids) and workspace.categories == clips.categories
    rows = dict(read_embeddings(example / "features" / "vggish"))
    for clip in workspace:
        exported = clips[clip.clip_id]
        assert np.array_equal(clip.still(2), exported.still(2))
        assert np.array_equal(clip.sound().samples_N, exported.sound().samples_N)
        assert np.array_equal(clip.embeddings(), rows[clip.clip_id])
        assert _said(clip) == _said(exported)


def _said(clip: avis.Clip) -> set[tuple[str, tuple[int, ...], bytes]]:
    return {(track.category, track.sounding_frames, track.masks_THW().tobytes()) for track in clip.tracks}


def test_what_is_written_is_read_again(clips: avis.ClipSet, tmp_path: Path) -> None:
    chosen = clips.split("train").filter(lambda clip: len(clip.tracks) > 1)
    for form in ("polygons", "rle"):
        path = avis.write_ytvis(str(tmp_path / f"{form}.json"), chosen.dataset(), form=form)
        again = avis.open(path)
        assert again.ids == chosen.ids and [_said(clip) for clip in again] == [_said(clip) for clip in chosen]
        assert [clip.video_id for clip in again] == [clip.video_id for clip in chosen]
    assert len({video.video_id for video in clips.dataset().videos}) == len(clips)  # ids of several files clash


def test_figures_are_those_of_the_commands(clips: avis.ClipSet, example: Path) -> None:
    from avis_data.quality.stats import dataset_stats

    assert dict(avis.count(clips).by_split) == dataset_stats(example / "exports" / "ytvis")
    assert avis.count(example).all == avis.count(clips).all
    assert "violin" in str(avis.count(clips)) and "violin" in avis.count(clips)._repr_html_()


def test_perfect_predictions_are_the_truth(clips: avis.ClipSet, example: Path) -> None:
    test = clips.split("test")
    predicted = test.with_predictions(str(example / "results.json"))
    assert [_said(clip) for clip in predicted] == [_said(clip) for clip in test]
    assert {track.score for clip in predicted for track in clip.tracks} == {0.9}
    result = avis.evaluate(example / "results.json", test, mode="strict", bootstrap=20)
    assert "strict" in str(result) and result.intervals is not None
    assert all(track.score is None for clip in test for track in clip.tracks)


def test_a_part_of_a_split_is_evaluated_alone(clips: avis.ClipSet, example: Path, tmp_path: Path) -> None:
    """As if the others were in neither file."""
    test, chosen = clips.split("test"), clips.split("test")[1:]
    entries = json.loads((example / "results.json").read_text())
    entries[-1]["segmentations"] = entries[-1]["segmentations"][::-1]
    (tmp_path / "results.json").write_text(json.dumps(entries))
    kept = [entry for entry in entries if entry["video_id"] == chosen[0].video_id]
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    alone = avis.evaluate(tmp_path / "kept.json", avis.write_ytvis(tmp_path / "truth.json", chosen.dataset()))
    assert avis.evaluate(tmp_path / "results.json", chosen).figures == alone.figures
    assert avis.evaluate(tmp_path / "results.json", test).figures != alone.figures


def test_pictures_show_themselves(clips: avis.ClipSet, tmp_path: Path) -> None:
    clip = clips[1]
    plain = np.asarray(clip.picture(0).resize((320, 213)))
    assert not np.array_equal(np.asarray(avis.draw_still(clip, 0, width_px=320)), plain)
    for picture in (avis.draw_still(clip, 0), avis.draw_sheet(clip, frames=range(1, 3))):
        assert picture._repr_png_().startswith(b"\x89PNG")
    video = avis.draw_video(clip, str(tmp_path / "clip.mp4"))
    assert video._repr_html_().startswith("<video") and video.path.stat().st_size > 1000
    with pytest.raises(avis.ConfigError, match=r"clip\.mp4"):
        avis.draw_video(clip, tmp_path / "clip.avi")
    assert "<audio" in clip._repr_html_() and "data:image/webp" in clip._repr_html_()
    assert "synth1-0002" in clips._repr_html_() and "and 7 more" in clips._repr_html_()


def test_torch_workers_read_clips(clips: avis.ClipSet) -> None:
    dataset = pickle.loads(pickle.dumps(avis.TorchClips(clips.split("train"))))
    loader = torch.utils.data.DataLoader(dataset, batch_size=3, num_workers=1, collate_fn=list)
    seen = [clip for batch in loader for clip in batch]
    assert [clip.clip_id for clip in seen] == clips.split("train").ids
    for clip, tensors in zip(clips.split("train"), seen, strict=True):
        assert np.array_equal(tensors.frames_T3HW[1].permute(1, 2, 0).numpy(), clip.still(1))
        assert tensors.sounding_NT.sum() == sum(len(track.sounding_frames) for track in clip.tracks)
        assert tensors.masks_NTHW.dtype == torch.bool and tensors.labels_N.tolist() == [
            track.category_id - 1 for track in clip.tracks
        ]


def test_stages_go_on_where_they_stopped(example: Path, tmp_path: Path) -> None:
    first = avis.run_stage(tmp_path / "w", "fetch", videos=example / "world" / "videos.csv", allow_local=True, limit=1)
    again = avis.run_stage(str(tmp_path / "w"), "fetch", workers=2, limit=3)
    assert (first[0].done, again[0].done, again[0].already_done) == (1, 3, 1)
    assert [(row.stage, row.done) for row in avis.status(str(tmp_path / "w"))][:2] == [("fetch", 4), ("extract", 0)]
    assert len(avis.open(tmp_path / "w")) == 0


def test_sets_in_the_layouts_of_avsbench(tmp_path: Path) -> None:
    s4, ms3 = avis.open(write_s4(tmp_path / "s4")), avis.open(write_ms3(tmp_path / "ms3"))
    avss = avis.open(str(write_avss(tmp_path / "avss")))
    assert s4.splits == ms3.splits == avss.splits == ("train", "val", "test")
    assert s4.ids[:2] == ["lawn_mowing/clip00_0", "NA/clip01_0"] and avss.categories[2] == "green"
    for clips, first_seed in ((s4, 0), (ms3, 100)):
        for number, clip in enumerate(clips):
            masks = scene(first_seed + 10 * (number // 2) + number % 2)[1]
            labelled = 1 if clips is s4 and clip.split == "train" else 5
            (track,) = clip.tracks
            assert np.array_equal(track.masks_THW()[:labelled], masks[:labelled])
            assert track.sounding == tuple(True if frame < labelled else None for frame in range(5))
            assert clip.still(4).shape == (SIDE, SIDE, 3) and clip.sound().duration_s == 5
    masks, heard = scene(201, 10)[1:]
    red, green = avss["v2/v2_1"].tracks
    assert np.array_equal(red.masks_THW() | green.masks_THW(), masks)
    assert green.sounding_frames == tuple(frame for frame, number in enumerate(heard) if number == 1)
    assert avis.draw_sheet(s4[0]).size and avis.count(s4).all.tracks == 6
    with pytest.raises(avis.ConfigError, match="--task avs"):
        avis.evaluate("results.json", s4.split("test"))
