"""What a perfect prediction scores: the oracle table of docs/metrics.md.

    python benchmarks/oracle.py --folder CACHE

The truth is that of benchmarks/evaluate.py (205 videos, 26 classes, tracks silent in 15 % of the frames); the
predictions are the truth itself, written in the forms in which models write it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluate import Size, generate

from avis_data.metrics import TrackInput, evaluate_avis
from avis_data.metrics.reading import EvaluationInput, read_evaluation
from avis_data.metrics.run_lengths import empty_counts
from avis_data.metrics.text_tables import percent, text_table

METRICS = ("AP_all", "AR_all", "HOTA", "DetA", "AssA", "FSLA", "FSLAn", "FSLAs", "FSLAm")
FORMS = {
    "null": (False, False),
    "empty masks": (True, False),
    "empty masks, and a track without any mask first": (True, True),
}
"""How silence is written -> as empty masks (else null), with a track that never has a mask first in the list."""


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the generated set is kept between runs")
    folder = parser.parse_args().folder / "oracle"
    if not folder.exists():
        generate(folder, Size(predictions=1))
    source = read_evaluation(folder / "gt.json", folder / "pred.json")
    rows = []
    for form, (has_masks, has_extra) in FORMS.items():
        figures = scores(source, has_masks=has_masks, has_extra=has_extra)
        rows += [
            [mode, form, *(percent(figures[mode][name]) for name in METRICS)] for mode in ("aviseg_compat", "strict")
        ]
    print(text_table(["mode", "silence as", *METRICS], rows))
    return 0


def scores(source: EvaluationInput, *, has_masks: bool, has_extra: bool) -> dict[str, Any]:
    """The figures of the truth as its own prediction."""
    videos = []
    for video in source.videos:
        empty = {"size": [video.height, video.width], "counts": empty_counts(video.height * video.width)}
        silence = empty if has_masks else None
        tracks = [
            TrackInput(category=track.category, masks=[mask or silence for mask in track.masks], score=0.9)
            for track in video.truth
        ]
        extra = [replace(track, masks=[empty] * video.num_frames, score=0.1) for track in tracks[:1] if has_extra]
        videos.append(replace(video, predictions=[*extra, *tracks]))
    return evaluate_avis(videos, categories=source.categories, modes=["aviseg_compat", "strict"]).as_dict()


if __name__ == "__main__":
    sys.exit(main())
