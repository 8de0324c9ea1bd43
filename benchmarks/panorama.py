"""Is a panorama loudest where it sounds? Nothing is learnt for it.

    avis-data synth --num-clips 2400 --seconds 3 --seed 2 --size 128x72 --video-fps 8 --out world   # then the chain
    python -m benchmarks.panorama --data EXPORT --scenes world/scenes.json

Of the stills of the split `test`: where one thing sounds, how far the loudest place lies from the middle of its mask;
where two things look alike and one of them sounds, how often it is louder at that one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.masks.rle import Rle, decode
from avis_data.synth.labels import SceneLabels, read_scenes
from avis_data.training.data.audio_features import AudioFeatures
from avis_data.training.data.audio_summary import PANORAMA_PLACES
from avis_data.training.data.frame_times import FrameTimes

_EDGE = 0.1
"""The synthetic world is heard from so far inside of both sides at most: see `synth.sound`."""


def panoramas(wav: Path, stills: int) -> NDArray[np.float32]:
    """Shares of the loudest, (stills, 32), the mean of the quarters of each second."""
    times = FrameTimes(fps=1.0, instants_s=tuple(number + 0.5 for number in range(stills)))
    rows = AudioFeatures("panorama").read(wav, range(stills), times)
    found: NDArray[np.float32] = rows.reshape(stills, 4, -1)[..., -PANORAMA_PLACES:].mean(axis=1)
    return found


def place_of(mask: Rle) -> float:
    """The place of the panorama at the middle of a mask, 0 to 31."""
    middle = (decode(mask).nonzero()[1].mean() + 0.5) / mask.width
    return float((_EDGE + (1 - 2 * _EDGE) * middle) * (PANORAMA_PLACES - 1))


def only_place(scene: SceneLabels, second: int) -> float | None:
    """Where the one thing lies that sounds in a second; None where it is not one, or not seen."""
    heard = [track for track in scene.tracks if track.heard[second]]
    mask = scene.mask(heard[0], second) if len(heard) == 1 else None
    return None if mask is None else place_of(mask)


def twins(scene: SceneLabels, second: int) -> Iterator[tuple[float, float]]:
    """The places of two things that look alike, of which the first sounds and the other does not."""
    tracks = {track.track_id: track for track in scene.tracks}
    for pair in scene.look_alikes:
        one, other = (scene.mask(tracks[name], second) for name in (pair.sounding, pair.silent))
        if tracks[pair.sounding].heard[second] and one is not None and other is not None:
            yield place_of(one), place_of(other)


def loudness(share_K: NDArray[np.float32], place: float) -> float:
    """How loud it is at a place, between the nearest two."""
    return float(np.interp(place, np.arange(PANORAMA_PLACES), share_K))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    arguments = parser.parse_args()
    scenes = {scene.clip_id: scene for scene in read_scenes(arguments.scenes)}
    errors: list[float] = []
    is_right: list[bool] = []
    for wav in sorted((arguments.data / "test" / "WAVAudios").glob("*.wav")):
        scene = scenes[wav.stem]
        for second, share_K in enumerate(panoramas(wav, scene.num_seconds)):
            if (place := only_place(scene, second)) is not None:
                errors.append(abs(int(share_K.argmax()) - place) / ((1 - 2 * _EDGE) * (PANORAMA_PLACES - 1)))
            is_right += [loudness(share_K, one) > loudness(share_K, other) for one, other in twins(scene, second)]
    median, ninth = (100 * np.percentile(errors, share) for share in (50, 90))
    print(f"{len(errors)} stills in which one thing sounds: the loudest place is {median:.1f} % of the width from the")
    print(f"  middle of its mask (median), and {ninth:.1f} % or less in nine of ten")
    print(f"{len(is_right)} stills with look-alikes: louder at the one that sounds in {100 * np.mean(is_right):.0f} %")


if __name__ == "__main__":
    main()
