"""COCO stills as training clips: which objects they have, that a bad one costs itself, and runs that learn of them."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from avis_data.errors import ConfigError, DataError
from avis_data.formats.ytvis import read_ytvis
from avis_data.masks.rle import decode, encode
from avis_data.training.config import load_config
from avis_data.training.data.augment import AugmentConfig
from avis_data.training.data.clips import PredictedTrack, TrainingBatch, TrainingClip
from avis_data.training.data.loading import batches
from avis_data.training.data.sampling import SampleNumbers
from avis_data.training.data.stills.coco import CocoStills, StillsConfig, shared_classes
from avis_data.training.data.stills.measured import still_split
from avis_data.training.data.stills.pseudo_clips import MixedSamples, StillSamples, draw_views
from avis_data.training.run.validation import measured
from avis_data.training.task import task_of
from support import tiny_afcv, tiny_rcf
from support.tiny_training import in_process

CLASSES = {1: "dog", 2: "sedan", 3: "mouse", 4: "person"}
COCO_CLASSES = {18: "dog", 3: "car", 74: "mouse", 1: "person", 90: "toothbrush"}
WIDTH, HEIGHT = 60, 40


def box(x: int, y: int, width: int = 20, height: int = 16) -> np.ndarray:
    mask_HW = np.zeros((HEIGHT, WIDTH), dtype=np.uint8, order="F")
    mask_HW[y : y + height, x : x + width] = 1
    return mask_HW


def polygon(x: int, y: int, width: int = 20, height: int = 16) -> list[list[int]]:
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def rle(mask_HW: np.ndarray) -> dict[str, Any]:
    coded = coco_mask.encode(mask_HW)
    return {"size": [HEIGHT, WIDTH], "counts": coded["counts"].decode()}


def runs(mask_HW: np.ndarray) -> dict[str, Any]:
    """Uncompressed, as COCO has crowds."""
    edges = np.flatnonzero(np.diff(mask_HW.ravel(order="F"), prepend=0))
    return {"size": [HEIGHT, WIDTH], "counts": np.diff([0, *edges, HEIGHT * WIDTH]).tolist()}


def write_coco(root: Path, entries: list[list[tuple[int, Any, int]]], *, modes: str = "RGB") -> Path:
    """A set with a picture for each list of (category, segmentation, is crowd)."""
    folder = root / "train2017"
    folder.mkdir(parents=True)
    images, annotations = [], []
    rng = np.random.default_rng(0)
    for number, objects in enumerate(entries, start=1):
        name = f"{number:012d}.jpg"
        noise = Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
        noise.convert(modes).save(folder / name, quality=95)
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        for category, segmentation, crowd in objects:
            entry = {"image_id": number, "category_id": category, "iscrowd": crowd, "segmentation": segmentation}
            annotations.append({"id": len(annotations) + 1, **entry})
    file = root / "annotations" / "instances_train2017.json"
    file.parent.mkdir()
    kinds = [{"id": number, "name": name} for number, name in COCO_CLASSES.items()]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": kinds}))
    return file


def opened(file: Path, **changes: Any) -> CocoStills:
    return CocoStills(StillsConfig(file=str(file), **changes), CLASSES)


def test_objects_are_those_of_shared_classes_in_every_form_of_mask(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = [(18, polygon(2, 3), 0), (1, rle(box(30, 10)), 0), (1, runs(box(0, 0, 60, 40)), 1), (90, polygon(1, 1), 0)]
    only_crowd, only_unknown = [(18, runs(box(0, 0)), 1)], [(90, polygon(1, 1), 0)]
    file = write_coco(tmp_path, [first, only_crowd, only_unknown, [(3, [], 0), (18, polygon(5, 5), 0)]])
    with caplog.at_level(logging.INFO, logger="avis_data"):
        stills = opened(file)
    assert "pictures=2 classes=2 of 5: dog, person" in caplog.text
    assert [stills.name(place) for place in range(len(stills))] == ["000000000001.jpg", "000000000004.jpg"]
    picture, objects = stills.read(0)
    assert picture.size == (WIDTH, HEIGHT)
    assert [label for label, _ in objects] == [0, 3]
    np.testing.assert_array_equal(decode(objects[0][1]), box(2, 3) > 0)
    np.testing.assert_array_equal(decode(objects[1][1]), box(30, 10) > 0)


def test_classes_are_mapped_by_name_and_by_what_is_said() -> None:
    theirs = {3: "car", 18: "Dog", 74: "mouse", 43: "tennis racket"}
    ours = {1: "dog", 2: "sedan", 3: "mouse", 4: "tennis_racket"}
    # COCO's mouse is a device; the animal of video sets is another thing.
    assert shared_classes(theirs, ours, {"car": "sedan"}, where="x") == {18: 0, 3: 1, 43: 3}
    assert shared_classes(theirs, ours, {"mouse": "mouse"}, where="x") == {18: 0, 74: 2, 43: 3}
    with pytest.raises(ConfigError, match=r"lorry \(not of x\), van \(not of the dataset\)"):
        shared_classes(theirs, ours, {"lorry": "dog", "car": "van"}, where="x")
    with pytest.raises(DataError, match="shares no class"):
        shared_classes({1: "fork"}, ours, {}, where="x")


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_printers_pictures_are_rgb(mode: str, tmp_path: Path) -> None:
    picture, _ = opened(write_coco(tmp_path, [[(18, polygon(1, 1), 0)]], modes=mode)).read(0)
    assert picture.mode == "RGB"


def test_pictures_that_are_missing_are_told_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write_coco(tmp_path, [[(18, polygon(1, 1), 0)]] * 3)
    (tmp_path / "train2017" / "000000000002.jpg").unlink()
    stills = opened(file)
    assert len(stills) == 2 and "pictures_missing=1, left out: 000000000002.jpg" in caplog.text
    with pytest.raises(DataError, match="3 are missing") as caught:
        opened(file, pictures=str(tmp_path / "annotations"))
    assert caught.value.hint == "--set data.stills.pictures=FOLDER"


@pytest.mark.parametrize("text", ["[]", "{", '{"images": []}', '{"videos": [], "annotations": []}'])
def test_a_file_that_is_no_coco_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=r"x\.json"):
        opened(tmp_path / "x.json")


def samples_of(file: Path, *, frames: int = 2, seed: int = 3, **changes: Any) -> StillSamples:
    config = StillsConfig(file=str(file), **changes)
    augment = AugmentConfig(crop_probability=0.0, short=(32,), long=64)
    return StillSamples(CocoStills(config, CLASSES), config, augment, frames=frames, seed=seed)


def test_a_bad_still_costs_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = {"size": [HEIGHT, WIDTH], "counts": "zz"}
    file = write_coco(tmp_path, [[(18, polygon(1, 1), 0)], [(18, polygon(1, 1), 0)], [(18, broken, 0)]])
    (tmp_path / "train2017" / "000000000002.jpg").write_bytes(b"no picture")
    samples = samples_of(file)
    found = [samples[number] for number in range(6)]
    assert {clip.clip_id for clip in found if isinstance(clip, TrainingClip)} == {"still 000000000001.jpg"}
    assert len(found) == 6 and caplog.text.count("left out") == 2  # each is told once
    (tmp_path / "train2017" / "000000000001.jpg").write_bytes(b"no picture")
    last = samples_of(file)[0]
    assert isinstance(last, DataError) and "100 stills one after the other" in str(last)


def test_views_are_of_one_size_turned_and_cut_each_in_its_way(tmp_path: Path) -> None:
    samples = samples_of(write_coco(tmp_path, [[(18, polygon(15, 10), 0)]]), frames=3)
    clip, again, other = samples[0], samples[0], samples[1]
    assert isinstance(clip, TrainingClip) and isinstance(again, TrainingClip) and isinstance(other, TrainingClip)
    assert torch.equal(clip.frames_T3HW, again.frames_T3HW) and torch.equal(clip.masks_NTHW, again.masks_NTHW)
    assert clip.frames_T3HW.shape != other.frames_T3HW.shape or not torch.equal(clip.frames_T3HW, other.frames_T3HW)
    assert clip.audio_TA is None and clip.track_ids_N.tolist() == [-1] and clip.labels_N.tolist() == [0]
    assert clip.masks_NTHW.shape[2:] == clip.frames_T3HW.shape[2:]
    assert len({frame.numpy().tobytes() for frame in clip.frames_T3HW}) == 3
    still = StillsConfig(file="x", rotation_deg=0.0, crop=1.0)
    views = draw_views((40, 60), 2, still, AugmentConfig(short=(40,), flip_probability=0.0), np.random.default_rng(0))
    assert all((view.mask(encode(box(2, 3))) == box(2, 3)).all() for view in views)


def test_a_turned_mask_stays_on_its_turned_object() -> None:
    """The picture is its own mask: white where the object is."""
    inside = box(18, 8, 24, 20) > 0
    picture = Image.fromarray(np.repeat(255 * inside[..., None].astype(np.uint8), 3, axis=2))
    augment = AugmentConfig(short=(80,), long=400)
    for seed in range(8):
        (view,) = draw_views((40, 60), 1, StillsConfig(file="x"), augment, np.random.default_rng(seed))
        seen, mask = view.picture(picture)[..., 0] > 190, view.mask(encode(inside))
        assert abs(view.angle) <= 15 and (seen & mask).sum() / (seen | mask).sum() > 0.9, seed


def test_a_share_of_the_samples_is_stills_and_none_is_left_out() -> None:
    class Numbers:
        per_round = 30

        def __init__(self, name: str) -> None:
            self.name = name

        def __getitem__(self, number: int) -> Any:
            return self.name, number

    mixed = MixedSamples(Numbers("clip"), Numbers("still"), 4 / 7)
    found: list[Any] = [mixed[number] for number in range(700)]
    assert [number for name, number in found if name == "still"] == list(range(400))
    assert [number for name, number in found if name == "clip"] == list(range(300))
    assert mixed.per_round == 70  # as many as give thirty clips


SMALL = [[(18, polygon(4, 6), 0)], [(18, polygon(30, 12), 0), (1, polygon(5, 20), 0)]]


@pytest.fixture
def small(world_export: Path, tmp_path: Path) -> tuple[Path, str]:
    """A COCO set with pictures like those of the export, whose categories it shares by name."""
    categories = [category.name for category in read_ytvis(world_export / "train.json").categories]
    COCO_TO_OURS = {18: categories[0], 1: categories[1]}
    file = write_coco(tmp_path / "coco", SMALL * 3)
    names = ", ".join(f"{COCO_CLASSES[number]}: {ours}" for number, ours in COCO_TO_OURS.items())
    return file, f"{{{names}}}"


@pytest.mark.parametrize("name", ["rcf_tiny", "afcv_tiny"])
@pytest.mark.parametrize("share", ["1", "0.5"])
def test_a_model_learns_of_stills_and_the_next_stage_takes_it(
    name: str, share: str, small: tuple[Path, str], world_export: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file, names = small
    tiny = tiny_rcf.TINY_RUN if name == "rcf_tiny" else tiny_afcv.TINY_RUN
    pace = ["loop.iterations=12", "optimiser.rate=0.002", "schedule.warmup=0"]
    stills = [f"data.stills.file={file}", f"data.stills.share={share}", f"data.stills.names={names}"]
    given = ("train-baseline", "--data", world_export, "--config", name, "--device", "cpu")

    def options(*settings: str) -> list[str]:
        return [word for setting in (*tiny, *settings) for word in ("--set", setting)]

    first = in_process(capsys, *given, "--out", tmp_path / "stills", *options(*pace, *stills))
    assert first.code == 0, first.err
    lines = [json.loads(line) for line in (tmp_path / "stills" / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 12 and np.isfinite(losses).all()
    if share == "1":
        assert np.mean(losses[-4:]) < np.mean(losses[:4])
    second = in_process(
        capsys, *given, "--out", tmp_path / "next", "--init", tmp_path / "stills", *options("model.num_classes=30")
    )
    assert second.code == 0, second.err
    told = json.loads((tmp_path / "next" / "start_weights.json").read_text())
    assert told["missing"] == [] and told["not_in_model"] == []
    assert told["other_shape"] and all("class" in part or "cls" in part for part in told["other_shape"]), told


def test_workers_read_the_same_stills(small: tuple[Path, str], world_export: Path) -> None:
    file, names = small
    config = load_config("rcf_tiny", [*tiny_rcf.TINY_RUN, f"data.stills.file={file}", f"data.stills.names={names}"])
    samples = task_of(config).open(world_export, "train", config).samples(config)
    numbers = SampleNumbers(first_iteration=0, iterations=4, accumulate=1, per_process=2, rank=0, world_size=1)
    alone, shared = (
        [clip for batch in batches(samples, numbers, workers=workers) for clip in batch.clips] for workers in (0, 2)
    )
    assert len(alone) == 8
    for one, other in zip(alone, shared, strict=True):
        assert isinstance(one, TrainingClip) and isinstance(other, TrainingClip)
        assert one.clip_id == other.clip_id and torch.equal(one.frames_T3HW, other.frames_T3HW)


def test_objects_of_stills_are_no_identities() -> None:
    """The embedding loss is the mean over tracks alone: of two pairs of one geometry, that of either where both are."""
    model = tiny_afcv.tiny_model(audio=False).train()
    boxes = ((8, 8, 40, 40), (12, 8, 44, 40))
    first, second = (tiny_afcv.pair_of(boxes, seed=seed, audio=False) for seed in (0, 1))
    second = replace(second, track_ids_N=torch.tensor([3]))
    still_1, still_2 = (replace(pair, track_ids_N=torch.tensor([-1])) for pair in (first, second))
    both, one, other, none = (
        {name: float(loss.detach()) for name, loss in model(TrainingBatch(clips=pairs)).items()}
        for pairs in ((first, second), (first, still_2), (still_1, second), (still_1, still_2))
    )
    assert both["embedding"] == pytest.approx((one["embedding"] + other["embedding"]) / 2, rel=1e-5)
    assert one["embedding"] != pytest.approx(other["embedding"], rel=1e-5)
    assert none.pop("embedding") == 0.0
    assert none == {name: value for name, value in both.items() if name != "embedding"}


def test_validation_measures_stills_as_cocos_own_program(tmp_path: Path) -> None:
    """AP of masks of one frame, against pycocotools; half of the objects are found, and things that are not there."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(5)
    places = [[tuple(map(int, (rng.integers(0, 34), rng.integers(0, 20)))) for _ in range(3)] for _ in range(8)]
    entries = [[(18 if k % 2 else 1, polygon(*at), 0) for k, at in enumerate(row)] for row in places]
    file = write_coco(tmp_path, entries)
    split = still_split(StillsConfig(file="unused.json", measured=str(file)), CLASSES)
    found, results = [], []
    for clip, row in zip(split.clips, places, strict=True):
        tracks = []
        for k, (x, y) in enumerate([*row, (10, 10)]):
            shift, score = int(rng.integers(0, 5)), float(rng.random())
            mask_HW = box(x + shift, y, 20, 16 - shift)
            label = 0 if k % 2 else 3
            tracks.append(PredictedTrack(label=label, score=score, query=k, masks=(encode(mask_HW),)))
            number, kind = int(clip.clip_id[:12]), 18 if k % 2 else 1
            results.append({"image_id": number, "category_id": kind, "score": score, "segmentation": rle(mask_HW)})
        found.append(tracks)
    truth = json.loads(file.read_text())
    for entry in truth["annotations"]:
        mask = decode(split.clips[entry["image_id"] - 1].tracks[0].masks[0] or encode(box(0, 0)))
        entry |= {"area": int(mask.sum()), "bbox": [0, 0, 1, 1]}
    file.write_text(json.dumps(truth))
    coco = COCO(str(file))
    official = COCOeval(coco, coco.loadRes(results), "segm")
    official.params.catIds = [1, 18]
    official.evaluate()
    official.accumulate()
    official.summarize()
    figures = measured(split, split.clips, found)["strict"]
    assert 0.05 < float(official.stats[0]) < 0.95
    assert figures["mAP"] == pytest.approx(float(official.stats[0]), abs=1e-9)


def test_a_run_measures_its_stills(small: tuple[Path, str], world_export: Path) -> None:
    file, names = small
    (file.parent.parent / "train2017" / "000000000002.jpg").write_bytes(b"no picture")
    settings = [f"data.stills.file={file}", f"data.stills.measured={file}", f"data.stills.names={names}"]
    config = load_config("afcv_tiny", [*tiny_afcv.TINY_RUN, *settings])
    split = task_of(config).open(world_export, "val", config)
    measured_split = still_split(config.data.stills, split.categories)  # type: ignore[attr-defined]
    assert [clip.clip_id for clip in measured_split.clips] == [f"{number:012d}.jpg" for number in (1, 3, 4, 5, 6)]
    assert [len(clip.tracks) for clip in measured_split.clips] == [1, 1, 2, 1, 2]
    asked: list[int] = []

    class Alone:
        def spread(self, count: int, work: Any) -> list[Any]:
            asked.append(count)
            return [[] for _ in range(count)]

    figures = split.validate(torch.nn.Identity(), config, Alone(), torch.device("cpu"))
    assert asked == [5] and figures["strict"]["mAP"] == 0.0


def test_what_cannot_take_stills_says_so(small: tuple[Path, str]) -> None:
    setting = f"data.stills.file={small[0]}"
    with pytest.raises(ConfigError, match="avism needs that of every clip"):
        load_config("avism_tiny", [setting])
    with pytest.raises(ConfigError, match="share is 0"):
        load_config("rcf_tiny", [setting, "data.stills.share=0"])
