"""What lies in the folders: names by hand, pixels and samples by numpy, pairing by the evaluation's own reader."""

from __future__ import annotations

import csv
import json
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avis_data.errors import ConfigError, DataError, ItemError, ProblemsError
from avis_data.features.logmel import log_mel
from avis_data.formats.avsbench_clips import open_layout
from avis_data.metrics.avs_files import load_avs_clip, pair_clips
from avis_data.paths import Workspace
from avis_data.pipelines.exports.avsbench import MS3, S4
from avis_data.pipelines.exports.plan import ExportOptions, plan_export
from avis_data.pipelines.exports.publish import export
from avis_data.pipelines.exports.writing import ExportJob, check_clip
from support.fake_workspace import WIDTH_HEIGHT, FakeClip, FakeTrack, make_workspace, mask_of
from support.shell import avis_data

SPLIT = {"c0": "train", "c1": "val", "c2": "test"}


def clips() -> list[FakeClip]:
    """c0: a dog and a cat from second 5 on; c1, c2: a dog, twice in c2."""
    dogs = FakeTrack(track_id="d", category="dog", sounding=(0, 1, 2, 5, 6, 7, 8, 9), silent=(3, 4))
    more = FakeTrack(track_id="e", category="dog", sounding=(1, 2))
    cat = FakeTrack(track_id="c", category="cat", sounding=(5, 6, 7, 8, 9))
    tracks = {"c0": (dogs, cat), "c1": (dogs,), "c2": (dogs, more)}
    return [
        FakeClip(clip_id=name, video_id=f"v{name}", num_seconds=11, tracks=of, split=SPLIT[name], license="CC0")
        for name, of in tracks.items()
    ]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("avsbench"), clips())
    export(workspace, S4, ExportOptions(name="s4"))
    export(workspace, MS3.with_options(sound="logmel"), ExportOptions(name="ms3"))
    return workspace


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def expected_s4() -> set[str]:
    data = "Single-source/s4_data"
    found = {"Single-source/s4_meta_data.csv", "certificate.json", "files.sha256"}
    for split, name in (("train", "c0_0"), ("val", "c1_0"), ("val", "c1_5"), ("test", "c2_0"), ("test", "c2_5")):
        place = f"{split}/dog/{name}"
        found |= {f"{data}/visual_frames/{place}/{name}_{k}.png" for k in (1, 2, 3, 4, 5)}
        found |= {f"{data}/gt_masks/{place}/{name}_{k}.png" for k in ((1,) if split == "train" else (1, 2, 3, 4, 5))}
        found.add(f"{data}/audio_wav/{place}.wav")
    return found


def expected_ms3() -> set[str]:
    data = "Multi-sources/ms3_data"
    found = {"Multi-sources/ms3_meta_data.csv", "certificate.json", "files.sha256"}
    for clip, split in SPLIT.items():
        for name in (f"{clip}_0", f"{clip}_5"):
            found |= {f"{data}/visual_frames/{name}/{name}.mp4_{k}.png" for k in (1, 2, 3, 4, 5)}
            found |= {f"{data}/gt_masks/{split}/{name}/{name}_{k}.png" for k in (1, 2, 3, 4, 5)}
            found.add(f"{data}/audio_log_mel/{split}/{name}.npy")
    return found


def test_every_file_has_its_published_name(workspace: Workspace) -> None:
    assert files(workspace.exports / "s4") == expected_s4()
    assert files(workspace.exports / "ms3") == expected_ms3()


def test_the_tables_are_the_published_ones(workspace: Workspace) -> None:
    with (workspace.exports / "s4/Single-source/s4_meta_data.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["name", "start", "category", "split"],
            ["c0_0", "0", "dog", "train"],
            ["c1_0", "0", "dog", "val"],
            ["c1_5", "5", "dog", "val"],
            ["c2_0", "0", "dog", "test"],
            ["c2_5", "5", "dog", "test"],
        ]
    with (workspace.exports / "ms3/Multi-sources/ms3_meta_data.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["video_id", "split"]
        assert dict(csv.reader(file))["c2_5"] == "test"


def nearest(mask_HW: np.ndarray) -> np.ndarray:
    """Centre of each of 224 x 224 cells, in the mask."""
    height, width = mask_HW.shape
    rows = ((np.arange(224) + 0.5) * height / 224).astype(int)
    columns = ((np.arange(224) + 0.5) * width / 224).astype(int)
    return mask_HW[rows][:, columns]


@pytest.mark.parametrize(
    ("path", "clip", "second", "tracks"),
    [
        ("s4/Single-source/s4_data/gt_masks/test/dog/c2_0/c2_0_2.png", "c2", 1, ("d", "e")),
        ("s4/Single-source/s4_data/gt_masks/test/dog/c2_0/c2_0_4.png", "c2", 3, ()),  # in view, not heard
        ("s4/Single-source/s4_data/gt_masks/train/dog/c0_0/c0_0_1.png", "c0", 0, ("d",)),
        ("ms3/Multi-sources/ms3_data/gt_masks/train/c0_5/c0_5_5.png", "c0", 9, ("d", "c")),
    ],
)
def test_a_mask_is_the_union_of_what_sounds(
    workspace: Workspace, path: str, clip: str, second: int, tracks: tuple[str, ...]
) -> None:
    with Image.open(workspace.exports / path) as picture:
        assert (picture.mode, picture.size) == ("L", (224, 224))
        pixels = np.asarray(picture)
        published = np.asarray(picture.convert("1"))  # how the S4 loader opens it
    union = np.zeros(WIDTH_HEIGHT[::-1], bool)
    for track in tracks:
        union |= mask_of(clip, track, second)
    np.testing.assert_array_equal(pixels, np.where(nearest(union), 255, 0))
    np.testing.assert_array_equal(published, nearest(union))


def test_a_still_is_the_one_of_its_second(workspace: Workspace) -> None:
    path = workspace.exports / "ms3/Multi-sources/ms3_data/visual_frames/c1_5/c1_5.mp4_3.png"
    with Image.open(path) as picture, Image.open(workspace.frame("c1", 7)) as still:
        assert (picture.mode, picture.size) == ("RGB", (224, 224))
        found = np.asarray(picture.resize(still.size, Image.Resampling.BOX)).astype(int)
        others = [np.asarray(Image.open(workspace.frame("c1", second))).astype(int) for second in range(11)]
    errors = [np.abs(found - other).mean() for other in others]
    assert int(np.argmin(errors)) == 7 and errors[7] < 25 < sorted(errors)[1]


def test_the_sound_is_that_of_the_five_seconds(workspace: Workspace) -> None:
    with wave.open(str(workspace.clip_dir("c1") / "audio.wav")) as file:
        samples_N = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    with wave.open(str(workspace.exports / "s4/Single-source/s4_data/audio_wav/val/dog/c1_5.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, 16000, 80000)
        np.testing.assert_array_equal(np.frombuffer(file.readframes(80000), "<i2"), samples_N[80000:160000])
    examples = np.load(workspace.exports / "ms3/Multi-sources/ms3_data/audio_log_mel/val/c1_5.npy", allow_pickle=False)
    assert (examples.dtype, examples.shape) == (np.float32, (5, 1, 96, 64))
    second_FM = log_mel(samples_N[80000 + 15360 :][:15600].astype(np.float32) / 32768)
    np.testing.assert_allclose(examples[1, 0], second_FM, atol=1e-5, err_msg="examples follow each other by 0.96 s")


@pytest.mark.parametrize(("name", "num"), [("s4", 2), ("ms3", 2)])
def test_the_evaluation_pairs_it_with_itself(workspace: Workspace, name: str, num: int) -> None:
    (masks,) = (workspace.exports / name).rglob("gt_masks")
    pairs, problems = pair_clips(masks / "val", masks / "val")
    assert len(pairs) == num and not problems
    for pair in pairs:
        clip = load_avs_clip(pair, are_logits=False)
        assert clip.truth_THW.shape == (5, 224, 224)
        np.testing.assert_array_equal(clip.truth_THW, clip.score_THW > 0.5)


@pytest.mark.parametrize("name", ["s4", "ms3"])
def test_our_training_finds_all_that_it_needs(workspace: Workspace, name: str) -> None:
    layout = open_layout(workspace.exports / name)
    assert layout.name == name
    for split in SPLIT.values():
        for clip in layout.clips(split):
            wanted = [*clip.frames, *(mask for mask in clip.masks if mask is not None)]
            assert all(path.is_file() for path in wanted) and any(path.is_file() for path in clip.sounds)


def test_the_certificate_and_the_list_of_files(workspace: Workspace) -> None:
    folder = workspace.exports / "s4"
    subprocess.run(["sha256sum", "--quiet", "-c", "files.sha256"], cwd=folder, check=True)
    said = json.loads((folder / "certificate.json").read_text())
    assert (said["format"], said["counts"]["total"]["clips"], said["files"]["count"]) == ("avsbench-s4", 5, 52)
    assert said["clips"][2]["name"] == "c1_5" and said["clips"][2]["from_second"] == 5
    assert not said["split"]["sources_in_two_splits"]
    assert str(workspace.root) not in json.dumps(said)


def test_the_same_again_is_there_already_and_gives_the_same_bytes(workspace: Workspace, tmp_path: Path) -> None:
    options = ExportOptions(name="s4", workers=1)
    assert export(workspace, S4, options).already_done
    other = make_workspace(tmp_path / "other", clips())
    export(other, S4, options)
    for name in files(workspace.exports / "s4"):
        assert (other.exports / "s4" / name).read_bytes() == (workspace.exports / "s4" / name).read_bytes(), name
    with pytest.raises(ConfigError, match="made from other data or options"):
        export(workspace, S4.with_options(sound="logmel"), ExportOptions(name="s4"))
    assert not export(workspace, S4, ExportOptions(name="s4", force=True)).already_done


@pytest.mark.parametrize("damaged", ["frames/00002.jpg", "audio.wav"])
def test_damaged_inputs_keep_it_back(tmp_path: Path, damaged: str) -> None:
    workspace = make_workspace(tmp_path, clips())
    path = workspace.clip_dir("c1") / damaged
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ProblemsError, match=r"clip c1: torn_input: .*avis-data extract --verify"):
        export(workspace, MS3, ExportOptions(name="x"))
    assert not list(workspace.exports.glob("*"))


def test_what_was_changed_while_writing_is_found(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, clips())
    plan = plan_export(workspace, MS3, ExportOptions(name="x"))
    pieces = plan.splits["val"]
    job = ExportJob(workspace=workspace, folder=tmp_path / "out", plan=plan)
    written = MS3.format.write_clip(job, pieces)
    check_clip(job, pieces, written)
    for name in sorted(written):
        path = tmp_path / "out" / name
        before = path.read_bytes()
        path.write_bytes(before[:-20] + bytes(20))
        with pytest.raises(ItemError, match=r"is not the|changed since"):
            check_clip(job, pieces, written)
        path.write_bytes(before)


def test_the_command_line(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, clips())
    ran = avis_data("-C", workspace.root, "export", "--format", "avsbench-s4", "--dry-run", "--json")
    assert ran.code == 0 and ran.json["counts"]["total"]["clips"] == 5
    assert not workspace.exports.exists()
    ran = avis_data("-C", workspace.root, "export", "--format", "avsbench-s4")
    assert ran.code == 0 and "exports/avsbench-s4: written, 52 files" in ran.out
    for option, said in (
        (("--select", "all"), "--select all"),
        (("--objects", "visible"), "--objects visible"),
        (("--masks", "rle"), "--masks"),
        (("--without-features",), "--without-features"),
    ):
        ran = avis_data("-C", workspace.root, "export", "--format", "avsbench-ms3", *option)
        assert ran.code == 2 and f"{said} goes with --format ytvis" in ran.err
    ran = avis_data("-C", workspace.root, "export", "--sound", "wav")
    assert ran.code == 2 and "--sound goes with --format avsbench" in ran.err


def test_a_dataset_in_which_nothing_fits(tmp_path: Path) -> None:
    quiet = [FakeClip(clip_id="q", video_id="v", num_seconds=9, imported_silent=True)]
    with pytest.raises(DataError, match="none of 1 clip"):
        export(make_workspace(tmp_path, quiet), MS3, ExportOptions(name="x"))
    assert not (tmp_path / "exports").exists()
