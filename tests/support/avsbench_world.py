"""Small AVSBench folders: in each clip two squares, a red and a green one; a low tone sounds for the red one, a high
one for the green one, and its square is the mask."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

SIDE = 64
SPLITS = ("train", "val", "test")
_RATE = 16_000
_TONES = (300.0, 3000.0)
_COLOURS = ((220, 40, 40), (40, 220, 40))
VOC = ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
"""The first colours of PASCAL VOC's map."""


def scene(seed: int, frames: int = 5, side: int = SIDE) -> tuple[list[Image.Image], np.ndarray, list[int]]:
    """Pictures, masks of the sounding square (frames, side, side) as bool, and which square sounds in each frame."""
    rng = np.random.default_rng(seed)
    size = side // 3
    rows = rng.integers(0, side - size, 2)
    columns = rng.permutation([side // 16, side // 2 + side // 16])
    sounding = [int(number) for number in rng.integers(0, 2, frames)]
    pictures, masks = [], np.zeros((frames, side, side), dtype=bool)
    for frame in range(frames):
        pixels = rng.integers(90, 110, (side, side, 3)).astype(np.uint8)
        for number, colour in enumerate(_COLOURS):
            top, left = int(rows[number]), int(columns[number]) + frame % 3
            pixels[top : top + size, left : left + size] = colour
            if number == sounding[frame]:
                masks[frame, top : top + size, left : left + size] = True
        pictures.append(Image.fromarray(pixels))
    return pictures, masks, sounding


def write_wav(path: Path, sounding: Sequence[int]) -> None:
    """0.96 s of a tone for each frame, as the front end cuts it, and what is missing to whole seconds."""
    length = round(0.96 * _RATE)
    time = np.arange(length) / _RATE
    samples = np.concatenate([0.3 * np.sin(2 * np.pi * _TONES[number] * time) for number in sounding])
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.pad(samples, (0, len(sounding) * _RATE - len(samples)), mode="wrap"), _RATE)


def write_s4(root: Path, clips_per_split: int = 2, side: int = SIDE) -> Path:
    """A dataset in the layout of S4."""
    lines = ["name,start,category,split"]
    data = root / "s4_data"
    for place, split in enumerate(SPLITS):
        for number in range(clips_per_split):
            name, category = f"clip{place}{number}_0", ("lawn_mowing", "NA")[number % 2]
            pictures, masks, sounding = scene(10 * place + number, side=side)
            where = f"{split}/{category}/{name}"
            _write_pngs(data / "visual_frames" / where, [f"{name}_{k}" for k in range(1, 6)], pictures)
            labelled = 1 if split == "train" else 5
            _write_pngs(data / "gt_masks" / where, [f"{name}_{k}" for k in range(1, labelled + 1)], _grey(masks))
            write_wav(data / "audio_wav" / f"{where}.wav", sounding)
            lines.append(f"{name},0,{category},{split}")
    (root / "s4_meta_data.csv").write_text("\n".join(lines) + "\n")
    return root


def write_ms3(root: Path, clips_per_split: int = 2, side: int = SIDE) -> Path:
    """A dataset in the layout of MS3."""
    lines = ["video_id,split"]
    data = root / "ms3_data"
    for place, split in enumerate(SPLITS):
        for number in range(clips_per_split):
            name = f"multi{place}{number}"
            pictures, masks, sounding = scene(100 + 10 * place + number, side=side)
            _write_pngs(data / "visual_frames" / name, [f"{name}.mp4_{k}" for k in range(1, 6)], pictures)
            _write_pngs(data / "gt_masks" / split / name, [f"{name}_{k}" for k in range(1, 6)], _grey(masks))
            write_wav(data / "audio_wav" / split / f"{name}.wav", sounding)
            lines.append(f"{name},{split}")
    (root / "ms3_meta_data.csv").write_text("\n".join(lines) + "\n")
    return root


def write_avss(root: Path) -> Path:
    """A dataset in the layout of AVSS: one clip of each kind per split; class 1 is red, class 2 green."""
    lines = ["vid,uid,label,split"]
    for place, split in enumerate(SPLITS):
        for kind, frames in (("v1s", 5), ("v1m", 5), ("v2", 10)):
            uid = f"{kind}_{place}"
            pictures, masks, sounding = scene(200 + place, frames)
            folder = root / kind / uid
            _write_pngs(folder / "frames", [str(k) for k in range(frames)], pictures, suffix="jpg")
            labelled = 1 if (kind, split) == ("v1s", "train") else frames
            colours = [
                Image.fromarray(np.where(mask[..., None], np.uint8(VOC[number + 1]), np.uint8(0)))
                for mask, number in zip(masks, sounding, strict=True)
            ]
            _write_pngs(folder / "labels_rgb", [str(k) for k in range(labelled)], colours)
            write_wav(folder / "audio.wav", sounding)
            lines.append(f"{uid},{uid},{kind},{split}")
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    (root / "label2idx.json").write_text(json.dumps({"background": 0, "red": 1, "green": 2}))
    return root


def _grey(masks: np.ndarray) -> list[Image.Image]:
    return [Image.fromarray(mask.astype(np.uint8) * 255) for mask in masks]


def _write_pngs(folder: Path, names: Sequence[str], pictures: Sequence[Image.Image], suffix: str = "png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(names, pictures, strict=False):
        picture.save(folder / f"{name}.{suffix}", quality=95)
