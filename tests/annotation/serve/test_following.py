"""A smart box is followed through the source video where there is one, else from still to still."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avis_data.annotation.labels.records import Interval
from avis_data.annotation.labelstudio.regions import sounding_region
from avis_data.annotation.propagation.carrier import Run
from avis_data.annotation.propagation.optical_flow import OpticalFlow
from avis_data.annotation.segmenters.grabcut import GrabCut
from avis_data.annotation.serve import following
from avis_data.annotation.serve.click_answer import Answerer
from avis_data.annotation.serve.click_request import PredictBody, click_of
from avis_data.annotation.serve.embedding_cache import EmbeddingCache
from avis_data.annotation.serve.page_state import no_drafts
from avis_data.formats.ytvis import YtvisTrack, read_ytvis
from avis_data.masks.brush_rle import decode_brush
from avis_data.masks.rle import box, decode
from avis_data.paths import Workspace
from support.shell import avis_data

WIDTH, HEIGHT, SECONDS = 480, 270, 6


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`world` and `ds`, in which the clips are extracted."""
    root = tmp_path_factory.mktemp("through-video")
    made = ("--num-clips", 1, "--seconds", SECONDS, "--seed", 5, "--size", f"{WIDTH}x{HEIGHT}", "--video-fps", 12)
    for command in (
        ("synth", *made, "--out", root / "world"),
        ("-C", root / "ds", "fetch", "--list", root / "world" / "videos.csv", "--allow-local", "--sleep", 0),
        ("-C", root / "ds", "extract"),
    ):
        ran = avis_data(*command)
        assert ran.code == 0, ran.err
    return root


def moving(world: Path) -> tuple[str, YtvisTrack]:
    """Clip and track of the object that moves by nearly half of its size between two of its stills."""
    truth = read_ytvis(world / "world" / "truth.json")
    for track in truth.tracks:
        boxes = np.array([box(mask) for mask in track.masks if mask is not None])
        moves = np.abs(np.diff(boxes[:, :2] + boxes[:, 2:] / 2, axis=0)) / boxes[:-1, 2:]
        if len(boxes) == SECONDS and moves.max() > 0.4:
            return truth.videos[0].name, track
    raise AssertionError("the world has no such object")


def answered(workspace: Workspace, clip_id: str, track: YtvisTrack) -> dict[int, float]:
    """IoU with the truth in each second that one box in second 0 fills, where the draft marks all of them."""
    assert track.masks[0] is not None
    x, y, wide, high = box(track.masks[0])
    value = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "width": 100 * wide / WIDTH, "height": 100 * high / HEIGHT}
    place = {"id": "box", "item_index": 0, "original_width": WIDTH, "original_height": HEIGHT}
    prompts = [
        {**place, "type": "rectangle", "from_name": "track", "value": {**value, "rotation": 0}},
        {**place, "type": "labels", "from_name": "object", "value": {**value, "labels": ["dog_1"]}},
    ]
    draft = [sounding_region("dog_1", Interval(start_s=0, end_s=SECONDS))]
    data = {"clip_id": clip_id, "num_seconds": SECONDS, "width": WIDTH, "height": HEIGHT, "frames": ["x"] * SECONDS}
    task = {"id": 3, "data": data, "drafts": [{"id": 1, "result": draft}], "annotations": [], "predictions": []}
    body = {"tasks": [task], "project": "1.2", "label_config": "<View/>", "params": {"context": {"result": prompts}}}
    cache = EmbeddingCache(workspace.root / "cache", engine="grabcut", weights_sha256=None, most_bytes=10**6)
    click = click_of(PredictBody.model_validate(body), no_drafts)
    assert click is not None
    answerer = Answerer(workspace, GrabCut(), cache)
    answer = answerer.answer(click)
    assert answer is not None
    (first, _) = answer.prediction.result
    masks = {0: decode_brush(first["value"]["rle"], height=HEIGHT, width=WIDTH)}
    for second, found in answerer.others(clip_id, "dog_1", 0, answer.first, answer.others):
        if found is not None:
            masks[second] = decode(found.rle).astype(bool)
    shares = {}
    for second, mask_HW in masks.items():
        mask = track.masks[second]
        assert mask is not None
        true = decode(mask).astype(bool)
        shares[second] = float((mask_HW & true).sum() / (mask_HW | true).sum())
    return shares


def test_a_box_finds_what_moves_far_between_two_stills(world: Path) -> None:
    shares = answered(Workspace(world / "ds"), *moving(world))
    assert sorted(shares) == list(range(SECONDS))
    assert min(shares.values()) > 0.5 and np.median(list(shares.values())) > 0.8


def test_far_from_the_click_it_goes_on_from_the_mask_that_was_found(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[int] = []

    class Counted(OpticalFlow):
        def start(self) -> Run:
            run = super().start()
            monkeypatch.setattr(type(run), "put", counted(type(run).put))
            return run

    def counted(real: Callable[..., None]) -> Callable[..., None]:
        return lambda run, masks: (put.append(len(masks)), real(run, masks))[1]

    monkeypatch.setattr(following, "_FRESH_S", 2)
    monkeypatch.setattr(following, "OpticalFlow", Counted)
    shares = answered(Workspace(world / "ds"), *moving(world))
    assert sorted(shares) == list(range(SECONDS)) and min(shares.values()) > 0.5
    assert put == [1, 1, 1], "the box, then seconds 2 and 4"


@pytest.mark.parametrize("damage", ["gone", "no video", "no manifest"])
def test_without_the_video_it_goes_from_still_to_still(
    world: Path, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(following, "moved_box", lambda *still, seconds: asked.append(seconds))
    clip_id, track = moving(world)
    workspace = Workspace(tmp_path / "ds")
    shutil.copytree(world / "ds", workspace.root)
    if damage == "no manifest":
        shutil.rmtree(workspace.manifest)
    for source in (workspace.root / "sources").rglob("*.mp4"):
        if damage == "gone":
            source.unlink()
        elif damage == "no video":
            source.write_bytes(b"no video at all")
    found = answered(workspace, clip_id, track)
    assert list(found) == [0] and found[0] > 0.7 and asked == [1]
