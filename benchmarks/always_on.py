"""How far can a model come that knows perfectly what is seen where, but not in which seconds it sounds?

    python benchmarks/always_on.py --world world --truth EXPORT/test.json

AVISM's video-level masks are a product of one vector per track and per-pixel maps without sound, so its tracks cannot
follow onset and end of a sound that cannot be seen. This measures two such predictions, made of the exact masks of a
synthetic world: all tracks in view, and those of them that sound in some second of the clip. Strict figures, percent.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from avis_data.formats.ytvis import YtvisTrack, YtvisVideo, read_ytvis
from avis_data.io import read_json
from avis_data.masks.rle import Rle, encode
from avis_data.metrics import Mode, TrackInput, VideoInput, evaluate_avis

METRICS = ("AP_all", "AP50", "HOTA", "FSLA", "FSLAn", "FSLAs", "FSLAm")
CHOICES = ("everything in view", "what sounds somewhere, always on")


def always_on(scene: Path, video: YtvisVideo, category_ids: dict[str, int], *, sounding_only: bool) -> list[TrackInput]:
    """Tracks of a scene with their masks in every second in which they are seen."""
    empty = encode(np.zeros((video.height, video.width), dtype=bool))
    found = []
    for track in read_json(scene)["labels"]["tracks"]:
        masks = [empty if mask is None else Rle(video.height, video.width, mask) for mask in track["masks"]]
        sounds = "sounding" in track["states"]
        if sounds or (not sounding_only and any(track["masks"])):
            found.append(TrackInput(category=category_ids[track["category"]], masks=masks, score=0.9))
    return found


def main() -> None:
    """Print one row per prediction."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=Path, required=True, help="the folder of `avis-data synth`")
    parser.add_argument("--truth", type=Path, required=True, help="a truth file of clips of this world")
    arguments = parser.parse_args()
    dataset = read_ytvis(arguments.truth)
    ids = {category.name: category.id for category in dataset.categories}
    tracks: dict[int, list[YtvisTrack]] = defaultdict(list)
    for track in dataset.tracks:
        tracks[track.video_id].append(track)
    print("| prediction | " + " | ".join(METRICS) + " |\n|---|" + "---|" * len(METRICS))
    for choice in CHOICES:
        videos = []
        for video in dataset.videos:
            scene = (
                arguments.world / "scenes" / f"{video.name.split('_')[0]}.json"
            )  # spans of files have times behind it
            videos.append(
                VideoInput(
                    name=video.name,
                    num_frames=video.length,
                    height=video.height,
                    width=video.width,
                    truth=[
                        TrackInput(category=track.category_id, masks=track.masks, track_id=track.track_id)
                        for track in tracks[video.video_id]
                    ],
                    predictions=always_on(scene, video, ids, sounding_only=choice != CHOICES[0]),
                )
            )
        names = {category.id: category.name for category in dataset.categories}
        result = evaluate_avis(videos, categories=names, modes=[Mode.STRICT])
        figures = result.as_dict()["strict"]
        print(f"| {choice} | " + " | ".join(f"{100 * (figures[name] or 0.0):.1f}" for name in METRICS) + " |")


if __name__ == "__main__":
    main()
