"""The AVISeg layout: one truth file for each split, stills, stereo sound and embeddings of whole clips.

Source: the layout of the AVISeg data as the official loaders read it (specs of AVISM, §1.2, §1.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from avis_data.formats.sets.options import Option
from avis_data.formats.ytvis_records import MaskForm
from avis_data.pipelines.exports.spec import ExportSize, ExportSpec, Hashes, Statement, TakenFeatures

if TYPE_CHECKING:
    from avis_data.paths import Workspace
    from avis_data.pipelines.exports.inputs import ExportClip, Piece
    from avis_data.pipelines.exports.writing import ExportJob

__all__ = ["YTVIS", "YtvisFormat"]

_ORDER = (
    *("certificate", "version", "replaces", "tool", "format", "masks", "media", "key", "recipe", "fps", "counts"),
    *("files", "split", "frame_at", "sound", "embeddings", "truth", "rights", "clips"),
)
_WAV = "16 kHz, 16-bit PCM, two equal channels; their mean is the mono sound that the embeddings were made from"


@dataclass(frozen=True, kw_only=True)
class YtvisFormat:
    """How whole clips are written in the AVISeg layout."""

    features: Annotated[bool, Option(flag="--without-features", help="Leave the folder FEATAudios out.")] = True
    masks: Annotated[
        MaskForm,
        Option(help="How masks are written: rle is much smaller; the official evaluation reads polygons only."),
    ] = "polygons"

    media: Annotated[
        bool,
        Option(
            flag="--without-media",
            help="Leave stills, sound and features out: truth, hashes, and the list for `avis-data rebuild`.",
        ),
    ] = True

    @property
    def takes_features(self) -> TakenFeatures:
        """All are needed, unless FEATAudios is left out."""
        return "all" if self.features and self.media else "none"

    def pieces(self, item: ExportClip) -> Iterator[Piece]:
        """The whole clip."""
        yield item.whole()

    def size(self, workspace: Workspace, pieces: Sequence[Piece]) -> ExportSize:
        """The size of stills, sound and features; the truth files are small beside them."""
        from avis_data.media.sound import SAMPLE_RATE_HZ
        from avis_data.pipelines.exports.media import size_of_stills

        if not self.media:
            return ExportSize(linked=0, written=sum(len(piece.frames) for piece in pieces) * 250)
        samples = sum(piece.item.held.num_seconds for piece in pieces) * SAMPLE_RATE_HZ
        embeddings = sum(len(piece.frames) for piece in pieces) if self.features else 0
        linked = sum(size_of_stills(workspace, piece.item) for piece in pieces)
        return ExportSize(linked=linked, written=samples * 4 + embeddings * 512)

    def write_clip(self, job: ExportJob, pieces: Sequence[Piece]) -> Hashes:
        """Stills and sound, or their print."""
        from avis_data.pipelines.exports.ytvis_files import write_clip, write_print

        return write_clip(job, pieces[0]) if self.media else write_print(job, pieces[0])

    def write_shared(self, job: ExportJob) -> Hashes:
        """The truth files and, because their table is read once from end to end, the features of all clips."""
        from avis_data.formats.aviseg_folders import SOUNDS, STILLS
        from avis_data.pipelines.exports.ytvis_files import make_folders, write_features, write_video_list
        from avis_data.pipelines.exports.ytvis_truth import write_datasets

        if not self.media:
            return write_video_list(job) | write_datasets(job, form=self.masks)
        make_folders(job, STILLS, SOUNDS)
        features = write_features(job) if self.features else {}
        return features | write_datasets(job, form=self.masks)

    def check_clip(self, job: ExportJob, pieces: Sequence[Piece]) -> None:
        """Stills, sound and features against the workspace's."""
        from avis_data.pipelines.exports.ytvis_files import check_clip, check_print

        (check_clip if self.media else check_print)(job, pieces[0])

    def check_shared(self, job: ExportJob) -> None:
        """The truth files, mask by mask."""
        from avis_data.pipelines.exports.ytvis_truth import check_datasets

        check_datasets(job)

    def certificate(self, job: ExportJob, said: Statement) -> Statement:
        """Adds how masks are written, what was counted, what the embeddings are from, and every clip."""
        from avis_data.pipelines.exports.certificate import clip_origin, embedding_origins, sources_of_sound
        from avis_data.quality.published import MEDIA_LEFT_OUT

        split_of, inputs = job.plan.assignment.split_of, job.plan.inputs
        said = said | {
            "masks": self.masks,
            **({} if self.media else {"media": MEDIA_LEFT_OUT}),
            "counts": job.plan.counts(),
            "sound": {"source": sources_of_sound(inputs), "wav": _WAV},
            "embeddings": embedding_origins(job.workspace, list(split_of)) if self.takes_features == "all" else None,
            "clips": [
                {"clip_id": item.held.clip_id, "split": split_of[item.held.clip_id], **clip_origin(item)}
                for item in inputs.clips
            ],
        }
        return {name: said[name] for name in _ORDER if name in said}


YTVIS = ExportSpec(
    name="ytvis",
    summary="YouTube-VIS / AVISeg: whole clips, one truth file for each split.",
    format=YtvisFormat(),
    layout=2,
    columns=(
        *("clips", "sources", "seconds", "tracks", "masks"),
        *("silent_seconds", "single_seconds", "multi_seconds"),
    ),
    objects=("sounding", "visible"),
    takes_unlabelled=True,
)
