"""The folders of the AVISeg layout: where the stills, the sound and the features of a video of a split are.

```
<split>.json                              truth, in the YouTube-VIS form (formats.ytvis)
<split>/JPEGImages/<video>/<number>.jpg   stills
<split>/WAVAudios/<video>.wav             sound
<split>/FEATAudios/<video>.npy            embeddings, float32 (T, 128)
<split>/FEATWindows/<video>.npy           of training here: VGGish before each frame, float32 (T, 4096)
```
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "FEATURES",
    "SOUNDS",
    "STILLS",
    "WINDOWS",
    "features_path",
    "frame_name",
    "frames_dir",
    "sound_path",
    "truth_path",
]

STILLS, SOUNDS, FEATURES, WINDOWS = "JPEGImages", "WAVAudios", "FEATAudios", "FEATWindows"


def truth_path(root: Path, split: str) -> Path:
    """The JSON file of a split.

    Example:
        >>> truth_path(Path("AVISeg"), "val").as_posix()
        'AVISeg/val.json'
    """
    return root / f"{split}.json"


def frames_dir(root: Path, split: str, video: str) -> Path:
    """The folder of the stills of one video.

    Example:
        >>> frames_dir(Path("AVISeg"), "val", "dog1").as_posix()
        'AVISeg/val/JPEGImages/dog1'
    """
    return root / split / STILLS / video


def frame_name(number: int) -> str:
    """The file name of one still: a plain number, which the official loaders sort as such.

    Example:
        >>> frame_name(12)
        '12.jpg'
    """
    return f"{number}.jpg"


def sound_path(root: Path, split: str, video: str) -> Path:
    """The sound of one video.

    Example:
        >>> sound_path(Path("AVISeg"), "val", "dog1").as_posix()
        'AVISeg/val/WAVAudios/dog1.wav'
    """
    return root / split / SOUNDS / f"{video}.wav"


def features_path(root: Path, split: str, video: str) -> Path:
    """The embeddings of one video.

    Example:
        >>> features_path(Path("AVISeg"), "val", "dog1").as_posix()
        'AVISeg/val/FEATAudios/dog1.npy'
    """
    return root / split / FEATURES / f"{video}.npy"
