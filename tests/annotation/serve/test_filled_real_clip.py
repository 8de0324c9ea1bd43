"""A box on a real clip with a real engine, through the service as a page asks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from avis_data.annotation.labels.records import Interval
from avis_data.annotation.labelstudio.regions import sounding_region
from avis_data.annotation.segmenters.grabcut import GrabCut
from avis_data.annotation.serve.click_answer import Answerer
from avis_data.annotation.serve.embedding_cache import EmbeddingCache
from avis_data.annotation.serve.page_state import no_drafts
from avis_data.annotation.serve.segmenter_app import create_app
from avis_data.formats.ytvis import read_ytvis
from avis_data.masks.brush_rle import decode_brush
from avis_data.masks.rle import box, decode
from avis_data.paths import Workspace
from support.filled import ask_until_filled
from support.places import ROOT
from support.shell import avis_data

CLIP, FIRST, SECONDS = "composite_two_speakers", 2, 5


@pytest.mark.slow
def test_one_box_on_a_speaker_fills_all_the_seconds_that_are_marked(media_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"url,video_id\n{media_dir / f'{CLIP}.mp4'},{CLIP}\n")
    workspace = Workspace(tmp_path / "ds")
    for command in (("fetch", "--list", tmp_path / "list.csv", "--allow-local", "--sleep", 0), ("extract",)):
        ran = avis_data("-C", workspace.root, *command)
        assert ran.code == 0, ran.err
    truth = read_ytvis(ROOT / "manifests" / "open-15" / "truth.json")
    (video,) = [video for video in truth.videos if video.name == CLIP]
    track = next(track for track in truth.tracks if track.video_id == video.video_id)
    drawn = track.masks[FIRST]
    assert drawn is not None
    size = {"height": video.height, "width": video.width}
    x, y, wide, high = box(drawn)
    value = {"x": 100 * x / video.width, "y": 100 * y / video.height}
    value |= {"width": 100 * wide / video.width, "height": 100 * high / video.height}
    prompt = {"id": "b", "item_index": FIRST, "type": "rectangle", "value": {**value, "labels": ["person_1"]}}
    heard = sounding_region("person_1", Interval(start_s=0, end_s=SECONDS))
    task = {"id": 1, "data": {"clip_id": CLIP, "num_seconds": 10, **size}, "drafts": [{"result": [heard, prompt]}]}
    cache = EmbeddingCache(tmp_path / "cache", engine="grabcut", weights_sha256=None, most_bytes=10**6)
    with TestClient(create_app(Answerer(workspace, GrabCut(), cache), no_drafts, token="t")) as client:
        client.auth = ("avis-data", "t")

        def ask(context: dict[str, Any]) -> dict[str, Any]:
            answer = client.post("/predict", json={"tasks": [task], "params": {"context": context}})
            said: dict[str, Any] = answer.json()
            return said

        first = ask({"result": [prompt]})
        own = first["results"][0]["result"]
        assert {region["item_index"] for region in own} == {FIRST}
        later = ask_until_filled(ask, first)
    brushes = {region["item_index"]: region for region in [*own, *later] if region["type"] == "brush"}
    assert sorted(brushes) == list(range(SECONDS))
    shares = []
    for second, region in brushes.items():
        found = decode_brush(region["value"]["rle"], **size)
        true = decode(track.masks[second]).astype(bool)  # type: ignore[arg-type]  # it is in view all the time
        shares.append(float((found & true).sum() / (found | true).sum()))
    assert np.mean(shares) > 0.6 and min(shares) > 0.4, shares
