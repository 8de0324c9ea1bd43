"""How long a click takes in the segmenter's service, with the embedding in the cache, for one and for five annotators.

    python -m benchmarks.sam_clicks

The SAM is ViT-B sized with random weights (untrained): its masks mean nothing, its time is that of a real one. The
service is called in this process, so the network is not in the figures. 720p stills of noise, a point each.
"""

from __future__ import annotations

import argparse
import base64
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastapi.testclient import TestClient
from PIL import Image
from transformers import SamConfig, SamModel

from avis_data.annotation.segmenters.grabcut import GrabCut
from avis_data.annotation.segmenters.sam import TransformersSam
from avis_data.annotation.segmenters.segmenter import Segmenter
from avis_data.annotation.serve.click_answer import Answerer
from avis_data.annotation.serve.embedding_cache import EmbeddingCache
from avis_data.annotation.serve.page_state import no_drafts
from avis_data.annotation.serve.segmenter_app import create_app
from avis_data.paths import Workspace

HEIGHT, WIDTH, STILLS = 720, 1280, 2
TOKEN = "token"


def workspace_with_stills(root: Path) -> Workspace:
    """One clip of noise with a brighter square."""
    workspace, rng = Workspace(root), np.random.default_rng(0)
    for second in range(STILLS):
        picture = rng.integers(0, 120, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        picture[200:500, 400:800] += 100
        path = workspace.frame("clip", second)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path, quality=92)
    return workspace


def request(number: int) -> dict[str, Any]:
    """A click near the middle of a still, as Label Studio sends it."""
    value = {"x": 45 + number % 7, "y": 45 + number % 5, "width": 0.2, "labels": [f"dog_{number % 5}"]}
    region = {"id": "k", "item_index": number % STILLS, "type": "keypoint", "is_positive": True, "value": value}
    data = {"clip_id": "clip", "num_seconds": STILLS, "width": WIDTH, "height": HEIGHT}
    return {"tasks": [{"id": 1, "data": data}], "params": {"context": {"result": [region]}}}


def measure(segmenter: Segmenter, workspace: Workspace, *, annotators: int, clicks: int) -> list[float]:
    """Milliseconds of each click."""
    cache = EmbeddingCache(
        workspace.root / "cache", engine=segmenter.name, weights_sha256=segmenter.weights_sha256, most_bytes=10**10
    )
    answerer = Answerer(workspace, segmenter, cache)
    for second in range(STILLS):
        answerer.prepare("clip", second)
    coded = base64.b64encode(f"avis-data:{TOKEN}".encode()).decode()
    client = TestClient(create_app(answerer, no_drafts, token=TOKEN), headers={"Authorization": f"Basic {coded}"})

    def click(number: int) -> float:
        began = time.perf_counter()
        assert client.post("/predict", json=request(number)).status_code == 200
        return 1000 * (time.perf_counter() - began)

    click(0)
    with ThreadPoolExecutor(annotators) as people:
        return list(people.map(click, range(clicks)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clicks", type=int, default=40)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    sam = TransformersSam(SamModel(SamConfig()), name="sam", weights_sha256="0" * 64, device=torch.device("cpu"))
    print("| engine | annotators | clicks | p50, ms | p95, ms |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        workspace = workspace_with_stills(Path(folder))
        for name, segmenter in (("sam ViT-B (untrained), CPU", sam), ("grabcut", GrabCut())):
            for annotators in (1, 5):
                times = measure(segmenter, workspace, annotators=annotators, clicks=arguments.clicks)
                p50, p95 = np.percentile(times, (50, 95))
                print(f"| {name} | {annotators} | {len(times)} | {p50:.0f} | {p95:.0f} |", flush=True)


if __name__ == "__main__":
    main()
