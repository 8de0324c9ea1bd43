"""What an export says about itself: what it holds, where that comes from, and how it was split, for others to check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pyarrow.compute as pc
import pyarrow.parquet as pq

from avis_data import __version__
from avis_data.features.store import bucket, part_name
from avis_data.fingerprints.making import METHOD
from avis_data.format_numbers import EXPORT
from avis_data.io import canonical_json, sha256_text
from avis_data.paths import Workspace
from avis_data.pipelines.exports.inputs import ExportClip, ExportInputs, Piece
from avis_data.pipelines.exports.plan import ExportPlan
from avis_data.pipelines.exports.spec import Statement
from avis_data.quality.published import FILE_LIST
from avis_data.recipe import RightsOptions
from avis_data.splits import Assignment, balance_report
from avis_data.versions.exported import ClipTruth

__all__ = [
    "clip_origin",
    "common_part",
    "embedding_origins",
    "file_list",
    "sources_of_sound",
    "split_proof",
    "truth_of_clips",
    "truth_statement",
]


def common_part(plan: ExportPlan, *, files: Mapping[str, str], size_bytes: int) -> Statement:
    """What the certificate of an export in any format says: values without times, host names or absolute paths.

    Args:
        plan: what was exported.
        files: relative path -> sha256 of every file but the list of files and the certificate itself.
        size_bytes: of these files together.
    """
    inputs = plan.inputs
    fps = inputs.recipe.extract.fps
    kept = plan.options.kept
    return {
        "certificate": EXPORT.number,
        **({} if kept is None else {"replaces": kept.replaces}),
        "tool": {"name": "avis-data", "version": __version__},
        "format": plan.spec.name,
        "key": plan.key,
        "recipe": _recipe(inputs),
        **_rate(fps),
        "files": {
            "list": FILE_LIST,
            "count": len(files),
            "size_bytes": size_bytes,
            "sha256": sha256_text(file_list(files)),
        },
        "split": split_proof(plan.assignment) | _kept_together(inputs),
        "frame_at": _tally(item.clip.frame_at or "unknown" for item in inputs.clips),
        "sound": {"source": sources_of_sound(inputs)},
        "truth": truth_statement(inputs, plan.selection),
        "rights": _rights(inputs),
    }


def sources_of_sound(inputs: ExportInputs) -> dict[str, int]:
    """How many clips have sound, and what is wrong with that of the others."""
    return _tally(item.held.sound for item in inputs.clips)


def clip_origin(item: ExportClip) -> Statement:
    """Where one clip comes from; the address only where others can reach it, a path would say nothing to them."""
    public = item.source.url.startswith(("http://", "https://"))
    return {
        "source": item.group,
        "video_id": item.held.video_id,
        "source_sha256": item.source.sha256,
        "url": item.source.url if public else None,
        "start_s": item.clip.start_s,
        "num_seconds": item.held.num_seconds,
        **_rate(item.held.fps, num_frames=item.held.num_frames),
        "license": item.license,
    }


def truth_of_clips(plan: ExportPlan) -> dict[str, ClipTruth]:
    """What the next version of an export is compared with."""
    return {piece.name: _clip_truth(split, piece) for split, pieces in plan.splits.items() for piece in pieces}


def file_list(files: Mapping[str, str]) -> str:
    """The text of `files.sha256`, as `sha256sum -c` reads it: sorted lines `<sha256>  <path>`."""
    return "".join(f"{files[path]}  {path}\n" for path in sorted(files))


def embedding_origins(workspace: Workspace, clip_ids: Sequence[str]) -> Statement:
    """Which weights and which front end made the embeddings of these clips: each value with its number of rows."""
    wanted = set(clip_ids)
    columns = ("weights_sha256", "front_end", "window_s")
    found: dict[str, Counter[str]] = {name: Counter() for name in columns}
    for part in sorted({part_name(bucket(clip_id)) for clip_id in wanted}):
        table = pq.read_table(workspace.features / part, columns=["clip_id", *columns])
        table = table.filter(pc.is_in(pc.cast(table["clip_id"], "string"), value_set=pc.cast(sorted(wanted), "string")))
        for name in columns:
            for entry in table[name].combine_chunks().value_counts().to_pylist():
                found[name][_text(entry["values"])] += entry["counts"]
    untrained = any(weights.startswith("untrained") for weights in found["weights_sha256"])
    return {"network": "vggish", "untrained": untrained} | {
        name: dict(sorted(counts.items())) for name, counts in found.items()
    }


def _clip_truth(split: str, piece: Piece) -> ClipTruth:
    tracks = sorted(piece.tracks, key=lambda track: track.track.track_id)
    masks = [track.masks[piece.start : piece.stop] for track in tracks]
    said = [
        [
            track.track.category,
            [mask and mask.counts for mask in of_track],
            [track.sounding[t] for t in piece.frames],
        ]
        for track, of_track in zip(tracks, masks, strict=True)
    ]
    return ClipTruth(
        split=split,
        digest=sha256_text(canonical_json(said))[:16],
        tracks=len(tracks),
        masks=sum(mask is not None for of_track in masks for mask in of_track),
        categories=", ".join(sorted({track.track.category for track in tracks})),
    )


def _rate(fps: float, **of_rate: int) -> dict[str, float]:
    """The rate and what goes with it; the certificate of a set of one still per second says nothing of either."""
    return {} if fps == 1 else {"fps": fps, **of_rate}


def _text(value: str | float) -> str:
    return f"{value:g}" if isinstance(value, float) else value


def _recipe(inputs: ExportInputs) -> dict[str, str]:
    return {"name": inputs.recipe.name, "sha256": sha256_text(inputs.recipe_text), "text": inputs.recipe_text}


def split_proof(assignment: Assignment) -> Statement:
    """How the clips were divided, and that no source is on two sides."""
    return {
        "request": assignment.request,
        "seed": assignment.seed,
        "clips": assignment.counts(),
        "sources": assignment.groups(),
        "sources_in_two_splits": assignment.divided_groups(),
        "balance": balance_report(assignment).as_dict(),
    }


def _kept_together(inputs: ExportInputs) -> Statement:
    """What else than sources is on one side of every split; nothing where only sources are."""
    together, said = inputs.together, {}
    exported = {item.held.clip_id for item in inputs.clips}
    if together.near_duplicates is not None:
        groups = ([clip_id for clip_id in group if clip_id in exported] for group in together.near_duplicates)
        said["near_duplicates"] = {"method": METHOD, "groups": [group for group in groups if len(group) > 1]}
    if together.channels is not None:
        said["channels"] = {name: list(clips) for name, clips in sorted(together.channels.items())}
    return {"group_by": inputs.recipe.division.group_by, **said} if said else {}


def truth_statement(inputs: ExportInputs, selection: str) -> Statement:
    """Whose labels the truth is: counted by round, by what drew masks, by the state of labels."""
    tracks = [track.track for item in inputs.clips for track in item.tracks]
    of_seen = {} if inputs.truth == "sounding" else {"masks_of": "visible", "masks_sounding": _masks_by_flag(inputs)}
    return of_seen | {
        "selection": selection,
        "rounds": _tally(track.round for track in tracks),
        "origins": _tally(track.origin for track in tracks),
        "clips_by": _tally(_made_by(item) for item in inputs.clips),
        "labelled_in": _tally(item.labels.round for item in inputs.clips if item.labels),
        "clips_accepted_by_their_authors": sum(item.labels.own_review for item in inputs.clips if item.labels),
        "clips_dropped": len(inputs.dropped),
        "clips_sent_back": len(inputs.sent_back),
        "clips_with_truth": sum(item.has_truth for item in inputs.clips),
        "clips_without_truth": sum(not item.has_truth for item in inputs.clips),
    }


def _masks_by_flag(inputs: ExportInputs) -> dict[str, int]:
    """How many masks are of something that sounds, does not sound, and of which nobody said so."""
    names = {True: "yes", False: "no", None: "unknown"}
    return _tally(
        names[track.sounding[number]]
        for item in inputs.clips
        for track in item.tracks
        for number, drawn in enumerate(track.masks.drawn)
        if drawn
    )


def _made_by(item: ExportClip) -> str:
    """`accepted` and `draft`: labelled here; `import`: from a file; `none`: nobody has said what sounds in it."""
    if item.labels is not None:
        return item.labels.state
    return "import" if item.has_truth else "none"


def _rights(inputs: ExportInputs) -> Statement:
    by_license: dict[str, list[ExportClip]] = {}
    for item in inputs.clips:
        by_license.setdefault(item.license or "", []).append(item)
    rule = inputs.recipe.rights
    return {
        **({} if rule == RightsOptions() else {"rule": rule.model_dump(mode="json"), "clips_held": len(inputs.held)}),
        "licenses": {
            name: {"clips": len(items), "sources": len({item.group for item in items})}
            for name, items in sorted(by_license.items())
            if name
        },
        "sources_without_license": sorted({item.held.video_id for item in by_license.get("", [])}),
    }


def _tally(values: Iterable[object]) -> dict[str, int]:
    return dict(sorted(Counter(map(str, values)).items()))
