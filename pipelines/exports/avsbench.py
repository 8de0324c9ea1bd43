"""AVSBench's layout for S4 and MS3: clips of five seconds, 224 x 224, cut from longer ones.

A clip is gone through from its start: the first five seconds that are fit become one, and the search goes on after
them. So they do not overlap, and what is between them is left out. Fit is, for MS3, five seconds in which something
sounds; for S4, five seconds in which exactly one category sounds, and sounds in the first, the only one that is
labelled in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from avis_data.formats.avsbench import (
    NUM_FRAMES,
    SIDE_PX,
    AvsbenchClip,
    AvsbenchName,
    AvsbenchPaths,
    AvsbenchSound,
    clip_paths,
    folder_of,
)
from avis_data.formats.sets.options import Option
from avis_data.pipelines.exports.spec import ExportSize, ExportSpec, Hashes, Statement, TakenFeatures

if TYPE_CHECKING:
    from avis_data.paths import Workspace
    from avis_data.pipelines.exports.inputs import ExportClip, Piece
    from avis_data.pipelines.exports.writing import ExportJob

__all__ = ["MS3", "S4", "AvsbenchFormat"]


@dataclass(frozen=True, kw_only=True)
class AvsbenchFormat:
    """How five seconds of a clip are written in AVSBench's layout."""

    dataset: AvsbenchName
    sound: Annotated[AvsbenchSound, Option(help="Write audio_wav, or audio_log_mel as .npy.")] = "wav"

    @property
    def takes_features(self) -> TakenFeatures:
        """There is no place for embeddings."""
        return "none"

    def pieces(self, item: ExportClip) -> Iterator[Piece]:
        """Every five seconds that are fit; a clip of less, or in which nothing sounds, has none."""
        start = 0
        while start + NUM_FRAMES <= item.held.num_seconds:
            heard = [
                {track.track.category for track in item.tracks if track.masks.drawn[second]}
                for second in range(start, start + NUM_FRAMES)
            ]
            categories = set().union(*heard)
            fit = bool(categories) if self.dataset == "avsbench-ms3" else len(categories) == 1 and bool(heard[0])
            if fit:
                yield item.part(start, start + NUM_FRAMES)
            start += NUM_FRAMES if fit else 1

    def size(self, workspace: Workspace, pieces: Sequence[Piece]) -> ExportSize:
        """The size of pictures that do not compress, so more than it takes."""
        from avis_data.media.sound import SAMPLE_RATE_HZ

        return ExportSize(written=len(pieces) * NUM_FRAMES * (4 * SIDE_PX * SIDE_PX + 2 * SAMPLE_RATE_HZ))

    def write_clip(self, job: ExportJob, pieces: Sequence[Piece]) -> Hashes:
        """Stills and masks as PNG, and the sound of each piece."""
        from avis_data.pipelines.exports.avsbench_files import write_pieces

        return write_pieces(job, [(piece, self.paths(job, piece)) for piece in pieces], self.sound)

    def write_shared(self, job: ExportJob) -> Hashes:
        """The table of all clips."""
        from avis_data.pipelines.exports.avsbench_files import write_table

        return write_table(job, self.dataset, self.rows(job))

    def check_clip(self, job: ExportJob, pieces: Sequence[Piece]) -> None:
        """Pixels and sound against the workspace's."""
        from avis_data.pipelines.exports.avsbench_files import check_pieces

        check_pieces(job, [(piece, self.paths(job, piece)) for piece in pieces], self.sound)

    def check_shared(self, job: ExportJob) -> None:
        """The rows of the table."""
        from avis_data.pipelines.exports.avsbench_files import check_table

        check_table(job, self.dataset, self.rows(job))

    def certificate(self, job: ExportJob, said: Statement) -> Statement:
        """Adds what was counted, how pictures and sound were made, and every piece with the clip that it is from."""
        from avis_data.pipelines.exports.certificate import clip_origin, sources_of_sound

        heard = (
            "audio_wav: 16 kHz, 16-bit PCM, mono" if self.sound == "wav" else "audio_log_mel: float32 (5, 1, 96, 64)"
        )
        said = said | {"sound": {"source": sources_of_sound(job.plan.inputs), "files": heard}}
        return said | {
            "counts": job.plan.counts(),
            "pictures": f"stills and masks resized to {SIDE_PX} x {SIDE_PX}, aspect lost; "
            "masks: all that sounds, 255, else 0",
            "clips": [
                {
                    "name": piece.name,
                    "split": split,
                    "clip_id": piece.item.held.clip_id,
                    "from_second": piece.start,
                    **({"category": folder_of(piece.categories[0])} if self.dataset == "avsbench-s4" else {}),
                    **clip_origin(piece.item),
                }
                for split, pieces in job.plan.splits.items()
                for piece in pieces
            ],
        }

    def row(self, job: ExportJob, piece: Piece) -> AvsbenchClip:
        """The row of a piece in the table."""
        return AvsbenchClip(
            name=piece.name,
            start_s=piece.item.clip.start_s + piece.start,
            category=piece.categories[0] if self.dataset == "avsbench-s4" else "",
            split=job.split_of(piece),
        )

    def rows(self, job: ExportJob) -> list[AvsbenchClip]:
        """The table."""
        return [self.row(job, piece) for pieces in job.plan.splits.values() for piece in pieces]

    def paths(self, job: ExportJob, piece: Piece) -> AvsbenchPaths:
        """Where the files of a piece are, relative to the folder of the export."""
        return clip_paths(self.dataset, self.row(job, piece), self.sound)


_COLUMNS = ("clips", "sources", "seconds", "silent_seconds", "single_seconds", "multi_seconds")

S4 = ExportSpec(
    name="avsbench-s4",
    summary="AVSBench S4: five seconds of one category, 224 x 224, first frame labelled in training.",
    format=AvsbenchFormat(dataset="avsbench-s4"),
    layout=1,
    columns=_COLUMNS,
    only_fps=1,
    unfit="without 5 seconds in which one category sounds, from the first on",
)
MS3 = ExportSpec(
    name="avsbench-ms3",
    summary="AVSBench MS3: five seconds in which something sounds, 224 x 224, every frame labelled.",
    format=AvsbenchFormat(dataset="avsbench-ms3"),
    layout=1,
    columns=_COLUMNS,
    only_fps=1,
    unfit="without 5 seconds in which something sounds",
)
