"""What an export will hold: gathered, checked and divided before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from avis_data import __version__
from avis_data.cycles import no_cycle_search
from avis_data.errors import ConfigError, DataError
from avis_data.io import canonical_json
from avis_data.ledger import Ledger
from avis_data.paths import Workspace, checked_id
from avis_data.pipelines.exports import FORMATS
from avis_data.pipelines.exports.division import Division, KeptDivision, divide
from avis_data.pipelines.exports.inputs import ExportClip, ExportInputs, Piece, Selection, gather
from avis_data.pipelines.exports.spec import ExportSize, ExportSpec
from avis_data.recipe import Truth, load_recipe
from avis_data.records import Record
from avis_data.splits import Assignment, balance_report
from avis_data.versions.exported import ExportVersion, folder_of, planned_version

__all__ = ["AskedExport", "ExportOptions", "ExportPlan", "count_pieces", "plan_export", "planned"]


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What can be asked of an export in any format."""

    name: str | None = None
    """Folder below `exports/`; None: the name of the format."""
    version: str | None = None
    """`1.1.0`: the folder's name ends in it, and CHANGES.md says what is new since the version before."""
    split: str | None = None
    """`616/105/205` or `75/25`; None: that of the list or of the imported sets, else the recipe's default."""
    split_file: Path | None = None
    """A written division, in place of `split`."""
    seed: int = 0
    """Seed of the division; nothing else is left to chance."""
    select: Selection = "accepted"
    """Clips with accepted truth; or the others too, without annotations."""
    include: Literal["draft"] | None = None
    """`draft`: labels that nobody accepted yet are truth too, for clips that have no other."""
    objects: Truth | None = None
    """Whether masks are of what sounds, or of all that is seen; None: as the recipe says, where the format can."""
    kept: KeptDivision | None = None
    """The division of the export whose place the new one takes, instead of `split`."""
    workers: int = 4
    """Threads; the result does not depend on it."""
    force: bool = False
    """Replace an export of the same name."""


class AskedExport(Record):
    """By what an export can be made once more."""

    format: str
    own: dict[str, object]
    """The options of the format."""
    select: Selection
    include: Literal["draft"] | None
    objects: Truth | None
    request: str
    seed: int | None
    pieces: dict[str, dict[str, str]]
    """By clip: its pieces, and the split of each."""
    base: str
    """What the folder's name begins with; all of it where there is no version."""
    version: str | None


@dataclass(frozen=True, kw_only=True)
class ExportPlan:
    """All that an export will hold, before anything is written."""

    spec: ExportSpec
    options: ExportOptions
    inputs: ExportInputs
    """Clips of which at least one piece is written."""
    unfit: tuple[str, ...]
    """Clips of which none is."""
    assignment: Assignment
    splits: Mapping[str, Sequence[Piece]]
    version: ExportVersion | None
    key: str
    """Hash of all that the files depend on: equal keys, equal bytes."""
    size: ExportSize
    pieces_of: Mapping[str, Sequence[Piece]] = field(repr=False)
    """By clip, in the order of the clips."""

    @property
    def name(self) -> str:
        """Folder below `exports/`."""
        return _name(self.spec, self.options)

    @property
    def selection(self) -> str:
        """Which clips were asked for, as the certificate says it."""
        return f"{self.options.select}, draft" if self.options.include else self.options.select

    @property
    def without_features(self) -> tuple[str, ...]:
        """Clips that are written without embeddings, though the format holds some."""
        if self.spec.format.takes_features != "where there":
            return ()
        return tuple(item.held.clip_id for item in self.inputs.clips if item.features_sha256 is None)

    def counts(self) -> Mapping[str, Mapping[str, float]]:
        """Per split and in total: what the format counts."""
        return self._counts

    @cached_property
    def _counts(self) -> dict[str, dict[str, float]]:
        every = [piece for pieces in self.splits.values() for piece in pieces]
        return {
            name: count_pieces(pieces, self.spec.columns) for name, pieces in [*self.splits.items(), ("total", every)]
        }

    def asked(self) -> AskedExport:
        """What was asked for, and the division that came of it; the ledger keeps it with the export."""
        options = self.options
        return AskedExport(
            format=self.spec.name,
            own=self.spec.own(),
            select=options.select,
            include=options.include,
            objects=options.objects,
            request=self.assignment.request,
            seed=self.assignment.seed,
            pieces={
                clip_id: {piece.name: self.assignment.split_of[piece.name] for piece in pieces}
                for clip_id, pieces in self.pieces_of.items()
            },
            base=_base(self.spec, options),
            version=options.version,
        )

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        balance = balance_report(self.assignment)
        return {
            "key": self.key,
            "counts": self.counts(),
            "split": {"request": self.assignment.request, "seed": self.assignment.seed},
            "max_deviation_clips": round(balance.max_deviation_clips, 6),
            "mean_deviation": round(balance.mean_deviation, 6),
            "bytes_linked": self.size.linked,
            "bytes_written": self.size.written,
            "clips_without_truth": len(self.inputs.without_truth),
            "clips_unfit": len(self.unfit),
            "clips_dropped": len(self.inputs.dropped),
            "clips_sent_back": len(self.inputs.sent_back),
            "clips_held": len(self.inputs.held),
            "clips_without_embeddings": len(self.without_features),
            "unknown_categories": self.inputs.unknown_categories(),
        }


def plan_export(workspace: Workspace, spec: ExportSpec, options: ExportOptions) -> ExportPlan:
    """Gather, check and divide; touches nothing.

    Raises:
        AvisError: for everything that keeps the export from being made, apart from damaged stills and sound,
            which only reading them shows.
    """
    with Ledger(workspace.ledger, read_only=True) as ledger:
        return planned(workspace, ledger, spec, options)


@no_cycle_search()
def planned(workspace: Workspace, ledger: Ledger, spec: ExportSpec, options: ExportOptions) -> ExportPlan:
    """Plan an export as `plan_export` does, with a ledger that is open."""
    checked_id(_name(spec, options))
    _check_fits(workspace, spec, options)
    inputs = gather(
        workspace,
        ledger,
        selection=options.select,
        features=spec.format.takes_features,
        include_draft=options.include == "draft",
        truth=options.objects if len(spec.objects) > 1 else spec.objects[0],
    )
    known = None if options.kept is None else options.kept.split_of
    pieces_of = {
        item.held.clip_id: [piece for piece in spec.format.pieces(item) if known is None or piece.name in known]
        for item in inputs.clips
    }
    pieces = {piece.name: piece for of_clip in pieces_of.values() for piece in of_clip}
    if not pieces:
        raise DataError(f"none of {len(inputs.clips)} clip(s) is fit for {spec.name}: they are {spec.unfit}")
    unfit = tuple(clip_id for clip_id, of_clip in pieces_of.items() if not of_clip)
    assignment = divide(
        [piece.for_split() for piece in pieces.values()],
        {name: piece.item.held for name, piece in pieces.items()},
        inputs.recipe,
        Division(split=options.split, split_file=options.split_file, seed=options.seed, kept=options.kept),
        left_out=frozenset(unfit),
    )
    version = None
    if options.version is not None and options.kept is not None:
        version = ExportVersion(number=options.version, before=None, opening=options.kept.changes)
    elif options.version is not None:
        version = planned_version(workspace.exports, _base(spec, options), options.version)
    used = replace(inputs, clips=tuple(item for item in inputs.clips if pieces_of[item.held.clip_id]))
    return ExportPlan(
        spec=spec,
        options=options,
        inputs=used,
        unfit=unfit,
        assignment=assignment,
        splits={name: [pieces[unit] for unit in assignment.clip_ids(name)] for name in assignment.names},
        version=version,
        key=_key(used, assignment, _chosen(spec, options, used, pieces) + _versioned(version)),
        size=spec.format.size(workspace, list(pieces.values())),
        pieces_of={clip_id: of_clip for clip_id, of_clip in pieces_of.items() if of_clip},
    )


def count_pieces(pieces: Sequence[Piece], columns: Sequence[str]) -> dict[str, float]:
    """What a split holds.

    Args:
        pieces: of the split.
        columns: of clips, sources (groups), seconds, tracks, masks, silent_seconds, single_seconds, multi_seconds. At
            other rates than one still per second there are `frames` too, and the last three are so many of these as
            make that time.
    """
    profiles = [piece.profile for piece in pieces]
    silent, single, multi = (sum(column) for column in zip(*profiles, strict=True)) if profiles else (0, 0, 0)
    rates = {piece.item.held.fps for piece in pieces} - {1}
    fps = max(rates, default=1)
    counts = {
        "clips": len(pieces),
        "sources": len({piece.item.group for piece in pieces}),
        "seconds": sum(piece.seconds for piece in pieces),
        "tracks": sum(len(piece.tracks) for piece in pieces),
        "masks": sum(piece.num_masks for piece in pieces),
        "silent_seconds": round(silent / fps, 3) if rates else silent,
        "single_seconds": round(single / fps, 3) if rates else single,
        "multi_seconds": round(multi / fps, 3) if rates else multi,
    }
    frames = {"frames": sum(len(piece.frames) for piece in pieces)} if rates else {}
    return {name: counts[name] for name in counts if name in columns} | frames


def _base(spec: ExportSpec, options: ExportOptions) -> str:
    return spec.name if options.name is None else options.name


def _name(spec: ExportSpec, options: ExportOptions) -> str:
    return folder_of(_base(spec, options), options.version)


def _check_fits(workspace: Workspace, spec: ExportSpec, options: ExportOptions) -> None:
    """Raise ConfigError for what this format cannot hold; the message names those that can."""
    fps = load_recipe(workspace).extract.fps
    if options.select == "all" and not spec.takes_unlabelled:
        raise ConfigError(f"--select all goes with --format {_those(lambda other: other.takes_unlabelled)}")
    if options.objects is not None and options.objects not in spec.objects:
        able = _those(lambda other: options.objects in other.objects)
        raise ConfigError(f"--objects {options.objects} goes with --format {able}")
    if spec.only_fps is not None and fps != spec.only_fps:
        rate = "one still and one label" if spec.only_fps == 1 else f"{spec.only_fps:g} stills and labels"
        raise ConfigError(
            f"{spec.name} has {rate} a second, this dataset {fps:g} (extract.fps in recipe.yaml)",
            hint=f"avis-data export --format {_those(lambda other: other.only_fps in (None, fps))}",
        )


def _those(able: Callable[[ExportSpec], bool]) -> str:
    return " or ".join(spec.name for spec in FORMATS if able(spec))


def _chosen(
    spec: ExportSpec, options: ExportOptions, inputs: ExportInputs, pieces: Mapping[str, Piece]
) -> list[object]:
    """The choices that change the files: those between which the format lets one choose."""
    chosen: list[object] = [spec.layout, spec.name]
    chosen += [options.select] if spec.takes_unlabelled else []
    chosen += [options.include]
    chosen += [inputs.truth] if len(spec.objects) > 1 else []
    chosen += spec.values()
    whole = all(piece.name == piece.item.held.clip_id for piece in pieces.values())
    return chosen if whole else [*chosen, sorted(pieces)]


def _versioned(version: ExportVersion | None) -> list[object]:
    """What a version adds to the choices: the page of changes depends on the one before."""
    return [] if version is None else ["version", version.number, version.before and version.before.key]


def _key(inputs: ExportInputs, assignment: Assignment, chosen: Sequence[object]) -> str:
    """Hash of all that an export depends on: what is exported, its division, and the choices that change files.

    Lines of JSON, and after that of a clip the masks of its tracks; only a clip at a time is in memory.
    """
    division = [assignment.request, assignment.seed, assignment.names, dict(assignment.split_of)]
    categories = inputs.categories.model_dump(mode="json")
    head = canonical_json([__version__, inputs.recipe_text, categories, chosen, division])
    digest = hashlib.sha256(f"{head}\n".encode())
    for item in inputs.clips:
        digest.update(item.records.read_text(item.held.place))
        digest.update(f"{canonical_json(_beside_the_record(item))}\n".encode())
        for track in item.tracks:
            digest.update(track.masks.spelled())
    return digest.hexdigest()


def _beside_the_record(item: ExportClip) -> list[object]:
    return [
        [item.source.sha256, item.source.url, item.license, item.group, item.has_truth, item.features_sha256],
        [[track.track, track.sounding] for track in item.tracks],
    ]
