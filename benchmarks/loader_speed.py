"""Training samples that one core makes in a second, for the recipe of each model.

    python -m benchmarks.loader_speed [--size 1280x720] [--seconds 60] [--samples 48] [--only CONFIG ...]

The dataset is made first: stills of blurred noise with objects, sound, features. CPU-seconds count, of one process with
one thread, in which samples are decoded and augmented as in a worker of training. Files are in the cache of the disk.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import AvisError
from avis_data.formats.aviseg_folders import WINDOWS, features_path, frame_name, frames_dir, sound_path
from avis_data.formats.avsbench import AvsbenchClip, clip_paths, table
from avis_data.formats.ytvis import YtvisDataset, YtvisTrack, YtvisVideo, ytvis_json
from avis_data.io import write_json, write_text
from avis_data.masks.rle import encode
from avis_data.records import Category
from avis_data.training.config import RunConfig, load_config
from avis_data.training.task import task_of

BAR = 10.0
"""Samples a second."""
CLIPS, TRACKS = 4, 3
RECIPES: tuple[tuple[str, ...], ...] = (
    ("avism_r50",),
    ("avism_r50", "data.audio=logmel"),
    ("rcf_r50_audio",),
    ("rcf_r50_audio", "data.audio=logmel-window", "model.audio_channels=128"),
    ("afcv_r50",),
    ("avs_bg_r50_s4", "data.audio=logmel"),
)
"""A config and its settings."""


def picture(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Noise of several grains, about as dear to decode as a photograph."""
    grains = [rng.integers(0, 256, (size[1] // grain, size[0] // grain, 3), dtype=np.uint8) for grain in (4, 32)]
    fine, coarse = (Image.fromarray(grain).resize(size, Image.Resampling.BICUBIC) for grain in grains)
    return Image.blend(coarse, fine, 0.25)


def ellipse(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.bool_]:
    """An object, somewhere."""
    width, height = size
    y, x = np.ogrid[:height, :width]
    middle_y, middle_x = rng.integers(height // 4, 3 * height // 4), rng.integers(width // 4, 3 * width // 4)
    inside: NDArray[np.bool_] = ((y - middle_y) / (height / 6)) ** 2 + ((x - middle_x) / (width / 9)) ** 2 < 1
    return inside


def make_aviseg(root: Path, size: tuple[int, int], seconds: int) -> None:
    """Clips of one still a second, with sound of 16 kHz and features, as an export has them."""
    rng = np.random.default_rng(0)
    videos, tracks = [], []
    (root / "train" / WINDOWS).mkdir(parents=True)
    for number in range(1, CLIPS + 1):
        name = f"clip{number}"
        wav, features = sound_path(root, "train", name), features_path(root, "train", name)
        for folder in (frames_dir(root, "train", name), wav.parent, features.parent):
            folder.mkdir(parents=True, exist_ok=True)
        stills = [picture(rng, size) for _ in range(4)]
        for frame in range(seconds):
            stills[frame % 4].save(frames_dir(root, "train", name) / frame_name(frame), quality=90)
        soundfile.write(wav, rng.normal(0, 0.1, 16_000 * seconds), 16_000)
        np.save(features, rng.random((seconds, 128), dtype=np.float32))
        np.save(root / "train" / WINDOWS / f"{name}.npy", rng.random((seconds, 4096), dtype=np.float32))
        names = tuple(f"{name}/{frame_name(frame)}" for frame in range(seconds))
        videos.append(
            YtvisVideo(video_id=number, name=name, width=size[0], height=size[1], length=seconds, file_names=names)
        )
        for _ in range(TRACKS):
            masks = tuple(encode(ellipse(rng, size)) for _ in range(seconds))
            tracks.append(YtvisTrack(track_id=len(tracks) + 1, video_id=number, category_id=1, masks=masks))
    dataset = YtvisDataset(videos=tuple(videos), tracks=tuple(tracks), categories=(Category(id=1, name="drum"),))
    write_json(root / "train.json", ytvis_json(dataset))


def make_avsbench(root: Path) -> None:
    """MS3, whose frames all have a mask; pictures of 224 x 224 in PNG, as published."""
    rng, size = np.random.default_rng(0), (224, 224)
    clips = [AvsbenchClip(name=f"clip{n}", start_s=0.0, category="", split="train") for n in range(CLIPS)]
    where, text = table("avsbench-ms3", clips)
    write_text(root / where, text)
    for clip in clips:
        paths = clip_paths("avsbench-ms3", clip, "wav")
        for place in (*paths.frames, *paths.masks, paths.sound):
            assert place is not None
            (root / place).parent.mkdir(parents=True, exist_ok=True)
        for frame, mask in zip(paths.frames, paths.masks, strict=True):
            picture(rng, size).save(root / frame)
            Image.fromarray(255 * ellipse(rng, size).astype(np.uint8)).save(root / str(mask))
        soundfile.write(root / paths.sound, rng.normal(0, 0.1, 5 * 16_000), 16_000)


def samples_per_s(config: RunConfig, data: Path, samples: int) -> float:
    """Of one core."""
    made = task_of(config).open(data, "train", config).samples(config)
    made[0]
    began = time.process_time()
    for number in range(1, samples + 1):
        sample = made[number]
        if isinstance(sample, AvisError):
            raise sample
    return samples / (time.process_time() - began)


def main() -> int:
    """Print a row per model; 1 if one is slower than the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1280x720", help="of the stills of AVISeg")
    parser.add_argument("--seconds", type=int, default=60, help="of its clips")
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--only", nargs="+", help="these configs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    width, height = map(int, options.size.split("x"))
    slow = []
    with tempfile.TemporaryDirectory() as scratch:
        data = {"avis": Path(scratch) / "avis", "avs": Path(scratch) / "avs"}  # of each task
        make_aviseg(data["avis"], (width, height), options.seconds)
        make_avsbench(data["avs"])
        for name, *settings in RECIPES:
            if options.only and name not in options.only:
                continue
            config = load_config(name, settings)
            found = samples_per_s(config, data[task_of(config).name], options.samples)
            print(f"{' '.join((name, *settings))}: {found:.1f} samples/s of one core (bar {BAR:.0f})", flush=True)
            slow += [name] if found < BAR else []
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
