"""What an export holds, read the way the official AVISM loader reads it: plain json, numpy, PIL and wave."""

from __future__ import annotations

import json
import subprocess
import wave
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from avis_data.paths import Workspace
from avis_data.pipelines.exports.plan import ExportOptions
from avis_data.pipelines.exports.publish import export
from avis_data.pipelines.exports.ytvis import YTVIS
from support.fake_workspace import WIDTH_HEIGHT, FakeClip, FakeTrack, embeddings_of, make_workspace, mask_of

CATEGORIES = ("dog", "violin", "person", "cat")
IDS = {"person": 1, "violin": 2, "cat": 11, "dog": 14}  # of the published set


def some_clips() -> list[FakeClip]:
    """24 clips of 15 sources: none, one or two tracks, silent seconds, a track that never sounds, 12 seconds once."""
    clips = []
    for number in range(24):
        seconds = 12 if number == 3 else 2 + number % 3
        tracks = [
            FakeTrack(
                track_id=f"t{index}",
                category=CATEGORIES[(number + index) % 4],
                sounding=tuple(range(index, seconds)),
                silent=tuple(range(index)),
            )
            for index in range(1 + number % 2)
        ]
        tracks.append(FakeTrack(track_id="quiet", category="cat", sounding=(), silent=(0,)))
        clips.append(
            FakeClip(
                clip_id=f"clip{number:02d}",
                video_id=f"v{number // 2 if number < 18 else number}",
                num_seconds=seconds,
                tracks=tuple(tracks),
                license="CC BY 4.0" if number % 2 else None,
                same_bytes_as="v18" if number == 23 else None,
            )
        )
    return clips


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = make_workspace(tmp_path_factory.mktemp("layout"), some_clips())
    export(workspace, YTVIS, ExportOptions(split="16/3/5", seed=4))
    return workspace


def load_official(root: Path, split: str) -> dict[str, dict[str, Any]]:
    """One entry per video, as the loaders build it: a track's frame without bbox or mask is dropped."""
    table = json.loads((root / f"{split}.json").read_text())
    tracks = defaultdict(list)
    for annotation in table["annotations"]:
        tracks[annotation["video_id"]].append(annotation)
    loaded = {}
    for video in table["videos"]:
        name = video["file_names"][0].split("/")[0]
        folder = root / split / "JPEGImages" / name
        frames = sorted(folder.iterdir(), key=lambda path: int(path.stem))
        assert [f"{name}/{path.name}" for path in frames] == video["file_names"]
        features = np.load(root / split / "FEATAudios" / f"{name}.npy")
        with wave.open(str(root / split / "WAVAudios" / f"{name}.wav")) as file:
            raw = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, file.getnchannels())
            rate = file.getframerate()
        loaded[name] = {
            "length": video["length"],
            "frames": frames,
            "size": (video["width"], video["height"]),
            "features": features,
            "channels": [raw[:, channel] for channel in range(2)],  # a mono file would fail here
            "rate": rate,
            "tracks": [(annotation["category_id"], masks_of(annotation)) for annotation in tracks[video["id"]]],
        }
    return loaded


def masks_of(annotation: dict[str, Any]) -> list[np.ndarray | None]:
    masks: list[np.ndarray | None] = []
    for bbox, segmentation in zip(annotation["bboxes"], annotation["segmentations"], strict=True):
        masks.append(mask_from(segmentation, annotation) if bbox and segmentation is not None else None)
    return masks


def mask_from(segmentation: Any, annotation: dict[str, Any]) -> np.ndarray:
    """Pixels of polygons whose corners lie on pixel borders, by counting crossings from the left; or of an RLE."""
    height, width = annotation["height"], annotation["width"]
    mask = np.zeros((height, width), dtype=bool)
    assert isinstance(segmentation, list) and segmentation, "official programs read polygons"
    for polygon in segmentation:
        xs, ys = np.array(polygon[0::2]), np.array(polygon[1::2])
        inside = np.zeros((height, width), dtype=bool)
        centre_x = np.arange(width) + 0.5
        for row in range(height):
            y = row + 0.5
            for x0, y0, x1, y1 in zip(xs, ys, np.roll(xs, -1), np.roll(ys, -1), strict=True):
                if (y0 > y) != (y1 > y):
                    inside[row] ^= centre_x > x0 + (y - y0) * (x1 - x0) / (y1 - y0)
        mask |= inside
    return mask


def test_the_official_loader_finds_what_the_workspace_holds(workspace: Workspace) -> None:
    root = workspace.exports / "ytvis"
    clips = {clip.clip_id: clip for clip in some_clips()}
    loaded = {split: load_official(root, split) for split in ("train", "val", "test")}
    assert [len(videos) for videos in loaded.values()] == [16, 3, 5]
    found = {name: video for videos in loaded.values() for name, video in videos.items()}
    assert found.keys() == clips.keys()
    for name, video in found.items():
        clip = clips[name]
        assert video["length"] == clip.num_seconds == len(video["frames"]) and video["size"] == WIDTH_HEIGHT
        for second, path in enumerate(video["frames"]):
            assert path.read_bytes() == workspace.frame(name, second).read_bytes()
        assert video["features"].dtype == np.float32
        assert video["features"].tobytes() == embeddings_of(name, clip.num_seconds).tobytes()
        left, right = video["channels"]
        assert video["rate"] == 16000 and len(left) == 16000 * clip.num_seconds
        mono = mono_of(workspace, name)
        assert np.array_equal((left / 32768 + right / 32768) / 2, mono / 32768)
        sounding = [track for track in clip.tracks if track.sounding]
        assert [category for category, _ in video["tracks"]] == [IDS[track.category] for track in sounding]
        for track, (_, masks) in zip(sounding, video["tracks"], strict=True):
            for second, mask in enumerate(masks):
                wanted = mask_of(name, track.track_id, second) if second in track.sounding else None
                assert (mask is None) == (wanted is None)
                assert wanted is None or np.array_equal(mask, wanted)


def mono_of(workspace: Workspace, clip_id: str) -> np.ndarray:
    with wave.open(str(workspace.clip_dir(clip_id) / "audio.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_ids_ascend_from_one_and_every_field_that_official_code_needs_is_there(
    workspace: Workspace, split: str
) -> None:
    table = json.loads((workspace.exports / "ytvis" / f"{split}.json").read_text())
    names = [video["file_names"][0].split("/")[0] for video in table["videos"]]
    assert names == sorted(names)
    assert [video["id"] for video in table["videos"]] == list(range(1, len(names) + 1))
    assert [one["id"] for one in table["annotations"]] == list(range(1, len(table["annotations"]) + 1))
    videos = [one["video_id"] for one in table["annotations"]]
    assert videos == sorted(videos)
    assert len(table["categories"]) == 26 and table["categories"][13]["name"] == "dog"
    length = {video["id"]: video["length"] for video in table["videos"]}
    for one in table["annotations"]:
        assert (one["width"], one["height"]) == WIDTH_HEIGHT and one["iscrowd"] == 0
        rows = list(zip(one["segmentations"], one["bboxes"], one["areas"], strict=True))
        assert len(rows) == length[one["video_id"]]
        assert all((segmentation is None) == (box is None) == (area is None) for segmentation, box, area in rows)
        assert any(segmentation for segmentation, _, _ in rows)


def test_clips_of_one_source_or_one_file_are_on_one_side(workspace: Workspace) -> None:
    root = workspace.exports / "ytvis"
    side = {path.name: path.parts[-3] for path in root.glob("*/JPEGImages/*")}
    by_source = defaultdict(set)
    for clip in some_clips():
        by_source[clip.same_bytes_as or clip.video_id].add(side[clip.clip_id])
    assert all(len(sides) == 1 for sides in by_source.values())


def test_the_certificate_says_what_can_be_checked(workspace: Workspace) -> None:
    root = workspace.exports / "ytvis"
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "files.sha256"], cwd=root, check=True)
    statement = json.loads((root / "certificate.json").read_text())
    listed = {line.split("  ", 1)[1] for line in (root / "files.sha256").read_text().splitlines()}
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert there - listed == {"files.sha256", "certificate.json"} and listed < there
    assert statement["counts"]["total"]["clips"] == 24
    assert statement["counts"]["total"]["masks"] == sum(
        len(track.sounding) for clip in some_clips() for track in clip.tracks
    )
    assert statement["split"]["sources_in_two_splits"] == []
    assert statement["split"]["request"] == "16/3/5" and statement["split"]["seed"] == 4
    assert sum(statement["split"]["sources"].values()) == 14
    assert statement["embeddings"]["untrained"] is True
    assert statement["embeddings"]["weights_sha256"] == {"untrained-0": sum(c.num_seconds for c in some_clips())}
    assert statement["truth"]["rounds"] == {"import": 36}
    assert (
        statement["rights"]["licenses"]["CC BY 4.0"]["clips"]
        + len([clip for clip in statement["clips"] if clip["license"] is None])
        == 24
    )
    assert "v18" in statement["rights"]["sources_without_license"]
    assert statement["frame_at"] == {"mid": 24}
    assert statement["recipe"]["text"] == workspace.recipe.read_text()
    assert str(workspace.root) not in json.dumps(statement)


def test_stills_are_links_where_the_file_system_has_them(workspace: Workspace) -> None:
    one = next((workspace.exports / "ytvis" / "train" / "JPEGImages").glob("*/0.jpg"))
    assert one.stat().st_ino == workspace.frame(one.parent.name, 0).stat().st_ino


def test_seed_and_not_workers_decide_the_bytes(workspace: Workspace, tmp_path: Path) -> None:
    export(workspace, YTVIS, ExportOptions(split="16/3/5", seed=4, name="again", workers=1))
    other = make_workspace(tmp_path / "elsewhere", list(reversed(some_clips())))
    export(other, YTVIS, ExportOptions(split="16/3/5", seed=4, name="third", workers=7))
    export(workspace, YTVIS, ExportOptions(split="16/3/5", seed=5, name="other"))
    first = tree(workspace.exports / "ytvis")
    assert tree(workspace.exports / "again") == first == tree(other.exports / "third")
    assert tree(workspace.exports / "other").keys() != first.keys()


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_outlines_of_the_test_masks_are_no_plain_boxes() -> None:
    """The masks above have a hole and a loose pixel, so that the comparison of pixels means something."""
    mask = mask_of("clip00", "t0", 0)
    picture = Image.fromarray(mask.astype(np.uint8))
    ImageDraw.floodfill(picture, (0, 0), 1)
    assert (np.array(picture) == 0).any() and mask[31, 47]
