"""From where the sounds of a dataset are heard: how different the two channels of each clip are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from avis_data.formats.aviseg_folders import SOUNDS
from avis_data.formats.sets.files import opened_dataset
from avis_data.media.stereo import channel_difference_db
from avis_data.quality import truth_files
from avis_data.quality.stats import aligned

__all__ = ["ChannelDifferences", "channel_differences", "channels_table"]

ChannelDifferences = dict[str, dict[str, float | str]]
"""By split and clip: dB, as `media.stereo.channel_difference_db`; or in words why there is no such figure."""

_SHOWN = 100


def channel_differences(path: Path) -> ChannelDifferences:
    """How loud the difference of the two channels of each clip is beside their sum.

    Args:
        path: a dataset's folder, or an archive of it; the sound lies in `<split>/WAVAudios`.

    Raises:
        DataError: if there is no such dataset.
    """
    with opened_dataset(path) as root:
        folder = root if root.is_dir() else root.parent
        splits = [file.stem for file in truth_files(root)]
        return {
            split: {wav.stem: _difference(wav) for wav in sorted((folder / split / SOUNDS).glob("*.wav"))}
            for split in splits
        }


def channels_table(found: ChannelDifferences) -> str:
    """The figures as text: how many clips have two channels that differ, then the clips, the most different first."""
    lines = []
    for split, clips in found.items():
        figures = [value for value in clips.values() if isinstance(value, float)]
        median = f", median {np.median(figures):.1f} dB" if figures else ""
        lines.append(f"{split}: {len(figures):,} of {len(clips):,} sounds have two channels that differ{median}")
    rows = [(split, clip, value) for split, clips in found.items() for clip, value in clips.items()]
    rows.sort(key=lambda row: (isinstance(row[2], str), -row[2] if isinstance(row[2], float) else 0.0))
    cells = [[split, clip, f"{value:.1f} dB" if isinstance(value, float) else value] for split, clip, value in rows]
    lines += ["", aligned([["split", "clip", "channels"], *cells[:_SHOWN]])]
    if len(cells) > _SHOWN:
        lines.append(f"and {len(cells) - _SHOWN:,} more: --json has them all")
    return "\n".join(lines)


def _difference(wav: Path) -> float | str:
    try:
        samples_NC, _ = soundfile.read(wav, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, MemoryError) as error:  # a damaged header says any length
        return f"cannot be read ({error})"
    if not np.isfinite(samples_NC).all():
        return "cannot be read (a sample is no number)"
    if samples_NC.shape[1] != 2:
        return "one channel" if samples_NC.shape[1] == 1 else f"{samples_NC.shape[1]} channels"
    found = channel_difference_db(samples_NC)
    return "the same" if found is None else found
