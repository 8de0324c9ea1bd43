"""Every writer of a labelled set as an export format of a workspace: a clip with its truth becomes a LabelledClip.

The format only maps. Stills and sound are compared with what was extracted before they are written; afterwards the
format's own reader reads the folder, and every clip must come back as `compare.kept` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated

from avis_data.errors import ConfigError, DataError
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, Media, Still, UnreadClip
from avis_data.formats.sets.options import Nested
from avis_data.formats.sets.spec import SetFacts, SetReader, SetSpec, SetWriter
from avis_data.pipelines.exports.spec import ExportSize, ExportSpec, Hashes, Statement, TakenFeatures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from avis_data.paths import Workspace
    from avis_data.pipelines.exports.inputs import ExportClip, ExportTrack, Piece
    from avis_data.pipelines.exports.writing import ExportJob

__all__ = ["LabelledSetFormat", "export_spec", "labelled"]

_COLUMNS = (
    *("clips", "sources", "seconds", "tracks", "masks"),
    *("silent_seconds", "single_seconds", "multi_seconds"),
)


@dataclass(frozen=True, kw_only=True)
class LabelledSetFormat:
    """How clips of a workspace are written by the writer of a format."""

    spec: SetSpec
    writer: Annotated[SetWriter, Nested()]
    reader: SetReader

    @property
    def takes_features(self) -> TakenFeatures:
        """Those that there are, where the format holds embeddings."""
        return "where there" if self.spec.keeps.embeddings else "none"

    def pieces(self, item: ExportClip) -> Iterator[Piece]:
        """The whole clip; or, where the format has clips of certain lengths, as many of these as there is room for."""
        if not self.spec.lengths:
            pieces = [item.whole()]
        else:
            pieces = []
            start = 0
            while fitting := [n for n in self.spec.lengths if start + n <= item.held.num_frames]:
                pieces.append(item.part(start, start + fitting[0]))
                start += fitting[0]
        yield from (piece for piece in pieces if self.spec.fits(labelled(piece)) is None)

    def size(self, workspace: Workspace, pieces: Sequence[Piece]) -> ExportSize:
        """The size of stills and sound; labels are small beside them."""
        from avis_data.media.sound import SAMPLE_RATE_HZ
        from avis_data.pipelines.exports.media import size_of_stills

        keeps = self.spec.keeps
        clips = {piece.item.held.clip_id: piece.item for piece in pieces}
        stills = sum(size_of_stills(workspace, item) for item in clips.values()) if keeps.stills else 0
        heard_s = sum(piece.seconds * (1 if piece.item.clip.stereo_sha256 is None else 2) for piece in pieces)
        sound = int(heard_s * SAMPLE_RATE_HZ * 2) if keeps.sound else 0
        if self.spec.embeds_media:
            return ExportSize(written=stills + sound)
        return ExportSize(linked=stills, written=sound)

    def write_clip(self, job: ExportJob, pieces: Sequence[Piece]) -> Hashes:
        """The files of one clip; its stills and sound are first compared with what was extracted."""
        from avis_data.pipelines.exports.media import channels_that_differ, check_stills

        if self.spec.keeps.stills:
            check_stills(job.workspace, pieces[0].item)
        if self.spec.keeps.sound:
            channels_that_differ(job.workspace, pieces[0].item)
        facts = _facts(job)
        names = [name for piece in pieces for name in self.writer.write_clip(job.folder, _clip(job, piece), facts)]
        return job.hashes(*names)

    def write_shared(self, job: ExportJob) -> Hashes:
        """The files of several clips."""
        from avis_data.pipelines.exports.certificate import common_part

        said = common_part(job.plan, files={}, size_bytes=0) | self._of_embeddings(job)
        facts = replace(_facts(job), certificate={name: value for name, value in said.items() if name != "files"})
        return job.hashes(*self.writer.write_shared(job.folder, lambda: _clips(job), facts))

    def check_clip(self, job: ExportJob, pieces: Sequence[Piece]) -> None:
        """Nothing more than their hashes, which are compared already: `check_shared` reads all clips."""

    def check_shared(self, job: ExportJob) -> None:
        """Read the whole folder with the format's reader and compare every clip with what was to come back."""
        from avis_data.formats.sets.compare import differences, kept

        spec = replace(self.spec, writer=self.writer)  # what comes back may depend on its options
        waiting = {piece.name: piece for pieces in job.plan.pieces_of.values() for piece in pieces}
        for found in self.reader.read(job.folder):
            if isinstance(found, UnreadClip):
                raise _not_as_written(found.name, str(found.problems[0]))
            piece = waiting.pop(found.name, None)
            if piece is None:
                raise _not_as_written(found.name, "nothing was written under that name")
            for difference in differences(found, kept(_clip(job, piece), spec), spec):
                raise _not_as_written(found.name, difference)
        for name in waiting:
            raise _not_as_written(name, "is not there")

    def certificate(self, job: ExportJob, said: Statement) -> Statement:
        """Adds what was counted, what the format keeps, how overlaps were decided, and every clip's origin."""
        from avis_data.formats.sets.overlap import OVERLAP_RULE, num_contested
        from avis_data.pipelines.exports.certificate import clip_origin

        pieces = [(split, piece) for split, of_split in job.plan.splits.items() for piece in of_split]
        if self.spec.keeps.masks == "painted":
            met = sum(num_contested(labelled(piece)) for _, piece in pieces)
            said = said | {"overlaps": {"rule": OVERLAP_RULE, "pixels": met}}
        return said | {
            **self._of_embeddings(job),
            "counts": job.plan.counts(),
            "keeps": asdict(self.spec.keeps),
            "clips": [
                {"clip_id": piece.item.held.clip_id, "split": split, **_part(piece), **clip_origin(piece.item)}
                for split, piece in pieces
            ],
        }

    def _of_embeddings(self, job: ExportJob) -> Statement:
        """Which weights made the embeddings, and which clips have none; nothing where the format has none."""
        from avis_data.pipelines.exports.certificate import embedding_origins

        if not self.spec.keeps.embeddings:
            return {}
        without = job.plan.without_features
        clip_ids = job.plan.pieces_of.keys() - set(without)
        if not clip_ids:
            return {"embeddings": None}
        unsaid = {"clips_without": list(without)} if without else {}
        return {"embeddings": embedding_origins(job.workspace, sorted(clip_ids)) | unsaid}


def export_spec(spec: SetSpec) -> ExportSpec:
    """The export format of a format of sets.

    Raises:
        ConfigError: if it has no writer, or no reader, without which nothing can be read back.
    """
    if spec.writer is None or spec.reader is None:
        raise ConfigError(f"the format {spec.name!r} cannot be written")
    return ExportSpec(
        name=spec.name,
        summary=spec.summary,
        format=LabelledSetFormat(spec=spec, writer=spec.writer, reader=spec.reader),
        layout=spec.layout,
        columns=_COLUMNS,
        objects=("sounding",) if spec.keeps.sounding == "sounding only" else ("sounding", "visible"),
        only_fps=spec.only_fps,
        unfit=spec.unfit,
    )


def labelled(piece: Piece) -> LabelledClip:
    """The labels of a piece; its stills and its sound are named, and cannot be read."""
    clip = piece.item.clip
    at = None if clip.frame_at is None else _INSTANT[clip.frame_at]
    return LabelledClip(
        name=piece.name,
        width=clip.width,
        height=clip.height,
        stills=tuple(
            Still(
                name=f"{number:05d}",
                number=number,
                time_s=None if at is None else (number + at) / clip.fps,
                picture=Media(name=f"{number:05d}.jpg"),
            )
            for number in range(len(piece.frames))
        ),
        tracks=tuple(_track(track, piece) for track in piece.tracks),
        has_truth=piece.item.has_truth,
        sound=Media(name="audio.wav"),
        fps=clip.fps,
        license=piece.item.license,
        source=piece.item.group,
        url=_public(piece.item.source.url),
        start_s=clip.start_s + piece.start / clip.fps,
    )


_INSTANT = {"start": 0.0, "mid": 0.5, "end": 1.0}
"""Where in its period a still was taken."""


def _track(track: ExportTrack, piece: Piece) -> LabelledTrack:
    return LabelledTrack(
        track_id=track.track.track_id,
        category=track.track.category,
        masks=track.masks[piece.start : piece.stop],
        sounding=track.sounding[piece.start : piece.stop],
    )


def _clip(job: ExportJob, piece: Piece) -> LabelledClip:
    """A piece with its stills, its sound and its embeddings, which are read when they are needed."""
    bare, workspace, clip_id = labelled(piece), job.workspace, piece.item.held.clip_id
    stills = tuple(
        replace(still, picture=Media(name=f"{still.name}.jpg", path=workspace.frame(clip_id, number), may_link=True))
        for still, number in zip(bare.stills, piece.frames, strict=True)
    )
    return replace(
        bare,
        stills=stills,
        split=job.split_of(piece),
        sound=Media(name="audio.wav", load=lambda: _sound(workspace, piece)),
        embeddings_TD=None if piece.item.features_sha256 is None else lambda: _embeddings(workspace, piece),
    )


def _clips(job: ExportJob) -> Iterator[LabelledClip]:
    pieces = {piece.name: piece for of_clip in job.plan.pieces_of.values() for piece in of_clip}
    return (_clip(job, pieces[name]) for name in sorted(pieces))


def _sound(workspace: Workspace, piece: Piece) -> bytes:
    """A WAV file of the seconds of a piece, with two channels where they differ."""
    from avis_data.media.sound import SAMPLE_RATE_HZ
    from avis_data.pipelines.exports.media import channels_that_differ, wav_bytes

    fps = piece.item.held.fps
    start, stop = (round(number / fps * SAMPLE_RATE_HZ) for number in (piece.start, piece.stop))
    whole = len(piece.frames) == piece.item.held.num_frames
    samples = channels_that_differ(workspace, piece.item)
    return wav_bytes(samples if whole else samples[start:stop])


def _embeddings(workspace: Workspace, piece: Piece) -> NDArray[np.float32]:
    """float32 (T, 128)."""
    from avis_data.features.store import read_embeddings

    for _, embeddings_TD in read_embeddings(workspace.features, [piece.item.held.clip_id]):
        return embeddings_TD[piece.start : piece.stop]
    raise DataError(f"clip {piece.item.held.clip_id}: no embeddings", hint="avis-data embed")


def _facts(job: ExportJob) -> SetFacts:
    inputs = job.plan.inputs
    rates = {item.held.fps for item in inputs.clips}
    version = job.plan.version
    return SetFacts(
        name=inputs.recipe.name,
        version=version.number if version is not None else "1.0.0",
        categories={category.name: category.id for category in inputs.categories.categories},
        fps=rates.pop() if len(rates) == 1 else None,
        description=inputs.recipe.description,
    )


def _part(piece: Piece) -> Statement:
    """What is said of a piece that is not the whole clip."""
    if len(piece.frames) == piece.item.held.num_frames:
        return {}
    return {"name": piece.name, "from_still": piece.start, "num_stills": len(piece.frames)}


def _public(url: str) -> str | None:
    return url if url.startswith(("http://", "https://")) else None


def _not_as_written(name: str, what: str) -> DataError:
    return DataError(f"read back, clip {name}: {what}; nothing was published")
