"""A whole export format in one module: a line of text for each clip, and a list of them. The recipe, as an example."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from avis_data.errors import DataError
from avis_data.formats.sets.options import Option
from avis_data.pipelines.exports.spec import ExportSize, ExportSpec, Hashes, Statement, TakenFeatures

if TYPE_CHECKING:
    from avis_data.paths import Workspace
    from avis_data.pipelines.exports.inputs import ExportClip, Piece
    from avis_data.pipelines.exports.writing import ExportJob

Voice = Literal["plain", "loud"]


@dataclass(frozen=True, kw_only=True)
class ToyFormat:
    """What sounds in every clip, as a word."""

    voice: Annotated[Voice, Option(help="How loud the words are.")] = "plain"
    breaks: str = ""
    """A kind of bad luck, for tests."""

    @property
    def takes_features(self) -> TakenFeatures:
        return "none"

    def pieces(self, item: ExportClip) -> Iterator[Piece]:
        if item.tracks:
            yield item.whole()

    def size(self, workspace: Workspace, pieces: Sequence[Piece]) -> ExportSize:
        return ExportSize(written=100 * len(pieces))

    def write_clip(self, job: ExportJob, pieces: Sequence[Piece]) -> Hashes:
        name = self.path(job, pieces[0])
        job.made(name).write_text(self.word(pieces[0]) + ("?" if self.breaks == "words" else ""), encoding="utf-8")
        return job.hashes(name)

    def write_shared(self, job: ExportJob) -> Hashes:
        if self.breaks == "kill":
            raise KeyboardInterrupt
        job.made("clips.json").write_text(json.dumps(sorted(job.plan.pieces_of)), encoding="utf-8")
        return job.hashes("clips.json")

    def check_clip(self, job: ExportJob, pieces: Sequence[Piece]) -> None:
        from avis_data.pipelines.exports.writing import torn

        name = self.path(job, pieces[0])
        if (job.folder / name).read_text(encoding="utf-8") != self.word(pieces[0]):
            raise torn(f"{name} holds another word")

    def check_shared(self, job: ExportJob) -> None:
        if json.loads((job.folder / "clips.json").read_text(encoding="utf-8")) != sorted(job.plan.pieces_of):
            raise DataError("read back, clips.json is not what was written; nothing was published")

    def certificate(self, job: ExportJob, said: Statement) -> Statement:
        return said | {"voice": self.voice, "counts": job.plan.counts()}

    def path(self, job: ExportJob, piece: Piece) -> str:
        return f"{job.split_of(piece)}/{piece.name}.txt"

    def word(self, piece: Piece) -> str:
        text = " and ".join(piece.categories)
        return text.upper() if self.voice == "loud" else text


TOY = ExportSpec(
    name="toy",
    summary="What sounds in every clip, as a word.",
    format=ToyFormat(),
    layout=1,
    columns=("clips", "sources"),
    unfit="in which nothing sounds",
)
