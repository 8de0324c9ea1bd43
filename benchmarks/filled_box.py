"""One box over a whole real clip: when its own still is there, when all others are, and how good they are.

    python -m benchmarks.filled_box --media DIR [--engine NAME --engine-weights PATH]

DIR holds the clips of manifests/open-15. Two speakers of ten seconds, as they are and repeated to three minutes
(`--seconds`); one box around each on the first still, asked through the service as Label Studio asks. IoU is against
the drawn masks (of the repeated clip: those of the second that is repeated). The page asks for the rest every second.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fastapi.testclient import TestClient

from avis_data.annotation.labels.records import Interval
from avis_data.annotation.labelstudio.regions import sounding_region
from avis_data.annotation.segmenters.engines import load_segmenter
from avis_data.annotation.segmenters.segmenter import Segmenter
from avis_data.annotation.serve.click_answer import Answerer
from avis_data.annotation.serve.embedding_cache import EmbeddingCache
from avis_data.annotation.serve.page_state import no_drafts
from avis_data.annotation.serve.segmenter_app import create_app
from avis_data.formats.ytvis import YtvisTrack, read_ytvis
from avis_data.masks.brush_rle import decode_brush, encode_brush
from avis_data.masks.rle import box, decode
from avis_data.media.ffmpeg import find_ffmpeg
from avis_data.paths import Workspace
from avis_data.recipe import create_workspace
from benchmarks.open15 import TRUTH

CLIP = "composite_two_speakers"
WIDTH, HEIGHT = 720, 288


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--engine", default="grabcut")
    parser.add_argument("--engine-weights", type=Path, default=None)
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 180])
    arguments = parser.parse_args()
    encode_brush(np.ones((8, 8), dtype=np.bool_))  # compiled, as the service does before it answers
    cv2.setNumThreads(1)
    segmenter = load_segmenter(arguments.engine, arguments.engine_weights)
    truth = read_ytvis(TRUTH)
    (video,) = [video for video in truth.videos if video.name == CLIP]
    tracks = [track for track in truth.tracks if track.video_id == video.video_id]
    print("| clip | person | own still, ms | all stills, s | stills with a mask | mean IoU |")
    print("|---|---|---|---|---|---|")
    for seconds in arguments.seconds:
        with tempfile.TemporaryDirectory() as folder:
            workspace = made(Path(folder), arguments.media.resolve(), seconds)
            for number, track in enumerate(tracks, start=1):
                print(f"| {seconds} s | {number} | {measured(workspace, segmenter, track, seconds)} |", flush=True)


def made(folder: Path, media: Path, seconds: int) -> Workspace:
    """The clip with its stills."""
    again = ["-stream_loop", str(-(-seconds // 10) - 1), "-i", str(media / f"{CLIP}.mp4"), "-t", str(seconds)]
    way = [find_ffmpeg().program, "-loglevel", "error", *again, "-c", "copy", str(folder / "clip.mp4")]
    subprocess.run(way, check=True)
    (folder / "list.csv").write_text("url,video_id\nclip.mp4,clip\n")
    workspace = Workspace(folder / "ds")
    workspace.root.mkdir()
    create_workspace(workspace, "aviseg")
    for command in (["fetch", "--list", folder / "list.csv", "--allow-local", "--sleep", 0], ["extract"]):
        words = [sys.executable, "-m", "avis_data", "-C", workspace.root, *command]
        subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return workspace


def measured(workspace: Workspace, segmenter: Segmenter, track: YtvisTrack, seconds: int) -> str:
    """Cells of the table."""
    mask = track.masks[0]
    assert mask is not None
    x, y, wide, high = box(mask)
    value = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "width": 100 * wide / WIDTH, "height": 100 * high / HEIGHT}
    prompt = {"id": "box", "item_index": 0, "type": "rectangle", "value": {**value, "labels": ["person_1"]}}
    heard = sounding_region("person_1", Interval(start_s=0, end_s=seconds))
    data = {"clip_id": "clip", "num_seconds": seconds, "width": WIDTH, "height": HEIGHT}
    task = {"id": 1, "data": data, "drafts": [{"result": [heard, prompt]}]}
    cache = EmbeddingCache(workspace.root / "cache", engine=segmenter.name, weights_sha256=None, most_bytes=10**9)
    with TestClient(create_app(Answerer(workspace, segmenter, cache), no_drafts, token="t")) as client:
        client.auth = ("avis-data", "t")

        def ask(context: dict[str, Any]) -> dict[str, Any]:
            answer = client.post("/predict", json={"tasks": [task], "params": {"context": context}})
            (result,) = answer.json()["results"]
            return dict(result)

        began = time.perf_counter()
        result = ask({"result": [prompt]})
        own_s = time.perf_counter() - began
        regions = list(result["result"])
        while filling := result.get("filling"):
            time.sleep(1 if filling["left"] else 0)
            result = ask({"result": [], "filling": filling})
            regions += result["result"]
        all_s = time.perf_counter() - began
    shares = [iou(region, track) for region in regions if region["type"] == "brush"]
    return f"{1000 * own_s:.0f} | {all_s:.0f} | {len(shares)} of {seconds} | {np.mean(shares):.3f}"


def iou(region: dict[str, Any], track: YtvisTrack) -> float:
    """Of a mask of the answer, with the drawn one of its second."""
    found = decode_brush(region["value"]["rle"], height=HEIGHT, width=WIDTH)
    mask = track.masks[region["item_index"] % 10]
    assert mask is not None
    drawn = decode(mask).astype(bool)
    return float((found & drawn).sum() / (found | drawn).sum())


if __name__ == "__main__":
    main()
