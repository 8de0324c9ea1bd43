"""A segmenter of somebody else: one spec in the registry, and the service answers with its masks."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from avis_data.annotation.labels.made_masks import made_masks
from avis_data.annotation.segmenters.engines import SEGMENTERS, load_segmenter
from avis_data.annotation.segmenters.segmenter import Embedding, Found, Prompt, SegmenterSpec
from avis_data.annotation.serve.segmenter import app_of
from avis_data.errors import ConfigError
from avis_data.masks.brush_rle import decode_brush
from avis_data.paths import Workspace

HEIGHT, WIDTH = 40, 60


class BrightPixels:
    """The toy: everything brighter than half, wherever one clicks."""

    name = "bright"
    weights_sha256: str | None = None
    embeds = False

    def embed(self, picture_HW3: NDArray[np.uint8]) -> Embedding:
        return {}

    def segment(self, picture_HW3: NDArray[np.uint8], embedding: Embedding, prompt: Prompt) -> Found:
        return Found(mask_HW=picture_HW3.mean(axis=2) > 127, confidence=0.75)


TOY = SegmenterSpec(name="bright", load=BrightPixels)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One clip of one still: a bright square, 10 pixels wide."""
    still = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    still[5:15, 20:30] = 255
    workspace = Workspace(tmp_path / "ds")
    path = workspace.frame("clip", 0)
    path.parent.mkdir(parents=True)
    Image.fromarray(still).save(path, quality=100, subsampling=0)
    (tmp_path / "token").write_text("a-token\n")
    return workspace


def click(x: float, y: float) -> dict[str, Any]:
    """What Label Studio sends for a point."""
    place = {"id": "k", "item_index": 0, "value": {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "labels": ["dog_1"]}}
    prompts = [{**place, "type": "keypoint", "is_positive": True}, {**place, "type": "labels"}]
    data = {"clip_id": "clip", "num_seconds": 1, "width": WIDTH, "height": HEIGHT}
    return {"tasks": [{"id": 1, "data": data}], "params": {"context": {"result": prompts}}}


def test_a_new_engine_answers_through_the_service(workspace: Workspace, tmp_path: Path) -> None:
    with SEGMENTERS.with_added(TOY):
        app = app_of(
            ["--workspace", str(workspace.root), "--engine", "bright", "--token-file", str(tmp_path / "token")]
        )
    login = base64.b64encode(b"avis-data:a-token").decode()
    service = TestClient(app, headers={"Authorization": f"Basic {login}"})
    assert service.get("/health").json()["model_class"] == "bright"
    (answer,) = service.post("/predict", json=click(25, 10)).json()["results"]
    brush = next(region for region in answer["result"] if region["type"] == "brush")
    mask = decode_brush(brush["value"]["rle"], height=HEIGHT, width=WIDTH)
    assert mask.sum() == 100 and mask[5:15, 20:30].all() and answer["score"] == 0.75
    (made,) = made_masks(workspace, "clip").values()
    assert (made.engine, made.identity) == ("bright", "dog_1"), "its name is in the provenance"


def test_it_is_listed_and_refuses_weights_like_those_that_ship(tmp_path: Path) -> None:
    with SEGMENTERS.with_added(TOY):
        assert SEGMENTERS.names()[-1] == "bright" and isinstance(load_segmenter("bright", None), BrightPixels)
        with pytest.raises(ConfigError, match="the engine bright has no weights"):
            load_segmenter("bright", tmp_path)
    with pytest.raises(ConfigError, match="no engine 'bright'; there are: grabcut, saliency, sam"):
        load_segmenter("bright", None)
