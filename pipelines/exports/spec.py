"""What an export format is: what it can hold, its own options, and how its files are written and read back.

A format is one module that ends in an `ExportSpec`. It only maps: what is exported, its division into splits, threads,
hashes, the certificate's common part and the final name are the same for all (`plan`, `writing`, `publish`).
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from avis_data.formats.sets.options import OwnOption, own_options, values, with_options

if TYPE_CHECKING:
    from avis_data.paths import Workspace
    from avis_data.pipelines.exports.inputs import ExportClip, Piece
    from avis_data.pipelines.exports.writing import ExportJob
    from avis_data.recipe import Truth

__all__ = ["ExportFormat", "ExportSize", "ExportSpec", "Hashes", "Statement", "TakenFeatures"]

Hashes = dict[str, str]
"""Path of a file, relative to the folder of the export, and the sha256 of its bytes."""

Statement = dict[str, object]
"""A certificate: JSON values by their names, in the order in which they are written."""

TakenFeatures = Literal["all", "where there", "none"]
"""Of which clips embeddings are written: of all, which are refused without; of those that have some; of none."""


@dataclass(frozen=True, kw_only=True)
class ExportSize:
    """How much room an export needs."""

    linked: int = 0
    """Bytes of stills that are links to the workspace's files where the file system has them."""
    written: int
    """Bytes of all other files, estimated."""


class ExportFormat(Protocol):
    """How clips become files: a frozen dataclass; its fields with an `Option` are the format's own options.

    Heavy packages are imported inside the methods: `avis-data export --help` lists the options of all formats. The
    methods for one clip run in threads. A method that finds an input damaged raises ItemError, of which the export
    makes one line for each clip.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[typing.Any]]]  # as typeshed has it

    @property
    def takes_features(self) -> TakenFeatures:
        """Of which clips the embeddings are written."""

    def pieces(self, item: ExportClip) -> Iterator[Piece]:
        """What is written of a clip: the whole clip (`item.whole()`), some parts of it, or nothing."""

    def size(self, workspace: Workspace, pieces: Sequence[Piece]) -> ExportSize:
        """How much room these pieces need."""

    def write_clip(self, job: ExportJob, pieces: Sequence[Piece]) -> Hashes:
        """Write the files of one clip, all its pieces, and say what was written."""

    def write_shared(self, job: ExportJob) -> Hashes:
        """Write the files that are not of one clip alone, after those of all clips."""

    def check_clip(self, job: ExportJob, pieces: Sequence[Piece]) -> None:
        """Read the files of one clip back and compare them with the workspace; their hashes are compared already."""

    def check_shared(self, job: ExportJob) -> None:
        """Read the other files back and compare them with what they were made from."""

    def certificate(self, job: ExportJob, said: Statement) -> Statement:
        """What the certificate says: the part that all formats have is given."""


@dataclass(frozen=True, kw_only=True)
class ExportSpec:
    """One export format."""

    name: str
    """What people type, and the folder below `exports/` where nothing else is said."""
    summary: str
    """One line for `--help`."""
    format: ExportFormat
    """How it is written, with the values of its own options."""
    layout: int
    """Raised when the same inputs would give other files."""
    columns: tuple[str, ...]
    """What is counted of each split, for people and for the certificate (see `plan.count_pieces`)."""
    objects: tuple[Truth, ...] = ("sounding",)
    """Of which objects there can be masks: those that sound, or all that are seen."""
    takes_unlabelled: bool = False
    """Whether there is a place for clips of which nobody has said what sounds in them."""
    only_fps: float | None = None
    """The only number of stills per second that it can hold; None: any."""
    unfit: str = "without anything to write"
    """What is wrong with a clip of which there is no piece, for messages: "3 clip(s) <unfit>"."""

    def options(self) -> dict[str, OwnOption]:
        """The format's own options, by the names of their fields."""
        return own_options(self.format)

    def with_options(self, **given: object) -> ExportSpec:
        """The same format with other values of its own options.

        Raises:
            ConfigError: if it has no such option, or the option no such value.
        """
        return replace(self, format=with_options(self.format, given, owner=self.name))

    def own(self) -> dict[str, object]:
        """The values of its own options by the names of their fields, as `with_options` takes them."""
        return dict(zip(self.options(), self.values(), strict=True))

    def values(self) -> list[object]:
        """The values of its own options, in the order of their fields."""
        return values(self.format)
