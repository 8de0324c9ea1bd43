"""What an export says about itself: what it holds, where that comes from, and how it was split, for others to check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from avis_data import __version__
from avis_data.features.store import bucket, part_name
from avis_data.format_numbers import EXPORT
from avis_data.io import sha256_text
from avis_data.paths import Workspace
from avis_data.pipelines.exports.inputs import ExportClip, ExportInputs
from avis_data.quality.published import FILE_LIST
from avis_data.splits import Assignment, balance_report

__all__ = ["certificate", "clip_origin", "common_parts", "count_splits", "embedding_origins", "file_list"]

_ORDER = (
    *("certificate", "tool", "format", "masks", "key", "recipe", "fps", "counts", "files", "split", "frame_at"),
    *("sound", "embeddings", "truth", "rights", "clips"),
)
_WAV = "16 kHz, 16-bit PCM, two equal channels; their mean is the mono sound that the embeddings were made from"


def certificate(
    inputs: ExportInputs,
    assignment: Assignment,
    splits: Mapping[str, Sequence[ExportClip]],
    *,
    key: str,
    selection: str,
    mask_form: str,
    files: Mapping[str, str],
    size_bytes: int,
    embeddings: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The content of `certificate.json`: JSON values without times, host names or absolute paths.

    Args:
        inputs: what was exported.
        assignment: its division.
        splits: the clips of each split.
        key: hash of all that the export depends on.
        selection: which clips were asked for.
        mask_form: how masks are written, `polygons` or `rle`.
        files: relative path -> sha256 of every file but the list of files and the certificate itself.
        size_bytes: of these files together.
        embeddings: of `embedding_origins`; None where features were left out.
    """
    said = common_parts(
        inputs, assignment, key=key, selection=selection, dataset_format="ytvis", files=files, size_bytes=size_bytes
    )
    said |= {
        "masks": mask_form,
        "counts": count_splits(splits),
        "sound": {"source": said["sound"]["source"], "wav": _WAV},
        "embeddings": embeddings,
        "clips": [
            {"clip_id": item.clip.clip_id, "split": assignment.split_of[item.clip.clip_id], **clip_origin(item)}
            for item in inputs.clips
        ],
    }
    return {name: said[name] for name in _ORDER if name in said}


def common_parts(
    inputs: ExportInputs,
    assignment: Assignment,
    *,
    key: str,
    selection: str,
    dataset_format: str,
    files: Mapping[str, str],
    size_bytes: int,
) -> dict[str, Any]:
    """What the certificate of an export in any format says; arguments as of `certificate`."""
    fps = inputs.recipe.extract.fps
    return {
        "certificate": EXPORT.number,
        "tool": {"name": "avis-data", "version": __version__},
        "format": dataset_format,
        "key": key,
        "recipe": _recipe(inputs),
        **_rate(fps),
        "files": {
            "list": FILE_LIST,
            "count": len(files),
            "size_bytes": size_bytes,
            "sha256": sha256_text(file_list(files)),
        },
        "split": _split_proof(assignment),
        "frame_at": _tally(item.clip.frame_at or "unknown" for item in inputs.clips),
        "sound": {"source": _tally(item.clip.sound for item in inputs.clips)},
        "truth": _truth(inputs, selection),
        "rights": _rights(inputs),
    }


def count_splits(splits: Mapping[str, Sequence[ExportClip]]) -> dict[str, dict[str, float]]:
    """Per split and in total: clips, sources (groups), seconds, tracks, masks, silent / single / multi seconds.

    At other rates than one still per second there are `frames` too, and the last three are so many of these as make
    that time.
    """
    table = {name: _count(items) for name, items in splits.items()}
    table["total"] = _count([item for items in splits.values() for item in items])
    return table


def clip_origin(item: ExportClip) -> dict[str, Any]:
    """Where one clip comes from; the address only where others can reach it, a path would say nothing to them."""
    public = item.video.url.startswith(("http://", "https://"))
    return {
        "source": item.group,
        "video_id": item.clip.video_id,
        "source_sha256": item.video.sha256,
        "url": item.video.url if public else None,
        "start_s": item.clip.start_s,
        "num_seconds": item.clip.num_seconds,
        **_rate(item.clip.fps, num_frames=item.clip.num_frames),
        "license": item.license,
    }


def file_list(files: Mapping[str, str]) -> str:
    """The text of `files.sha256`, as `sha256sum -c` reads it: sorted lines `<sha256>  <path>`."""
    return "".join(f"{files[path]}  {path}\n" for path in sorted(files))


def embedding_origins(workspace: Workspace, clip_ids: Sequence[str]) -> dict[str, Any]:
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


def _rate(fps: float, **of_rate: int) -> dict[str, float]:
    """The rate and what goes with it; the certificate of a set of one still per second says nothing of either."""
    return {} if fps == 1 else {"fps": fps, **of_rate}


def _text(value: str | float) -> str:
    return f"{value:g}" if isinstance(value, float) else value


def _count(items: Sequence[ExportClip]) -> dict[str, float]:
    profiles = [item.profile() for item in items]
    silent, single, multi = (sum(column) for column in zip(*profiles, strict=True)) if profiles else (0, 0, 0)
    rates = {item.clip.fps for item in items} - {1}
    if rates:
        fps = max(rates)
        silent, single, multi = (round(number / fps, 3) for number in (silent, single, multi))
    return {
        "clips": len(items),
        "sources": len({item.group for item in items}),
        "seconds": sum(item.clip.num_seconds for item in items),
        "tracks": sum(len(item.tracks) for item in items),
        "masks": sum(mask is not None for item in items for track in item.tracks for mask in track.masks),
        "silent_seconds": silent,
        "single_seconds": single,
        "multi_seconds": multi,
    } | ({"frames": sum(item.clip.num_frames for item in items)} if rates else {})


def _recipe(inputs: ExportInputs) -> dict[str, str]:
    return {"name": inputs.recipe.name, "sha256": sha256_text(inputs.recipe_text), "text": inputs.recipe_text}


def _split_proof(assignment: Assignment) -> dict[str, Any]:
    return {
        "request": assignment.request,
        "seed": assignment.seed,
        "clips": assignment.counts(),
        "sources": assignment.groups(),
        "sources_in_two_splits": assignment.divided_groups(),
        "balance": balance_report(assignment).as_dict(),
    }


def _truth(inputs: ExportInputs, selection: str) -> dict[str, Any]:
    tracks = [track.track for item in inputs.clips for track in item.tracks]
    of_seen = {} if inputs.truth == "sounding" else {"masks_of": "visible", "masks_sounding": _masks_by_flag(inputs)}
    return of_seen | {
        "selection": selection,
        "rounds": _tally(track.round for track in tracks),
        "origins": _tally(track.origin for track in tracks),
        "clips_by": _tally(_made_by(item) for item in inputs.clips),
        "labelled_in": _tally(item.labels.round for item in inputs.clips if item.labels),
        "clips_dropped": len(inputs.dropped),
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
        for number, mask in enumerate(track.masks)
        if mask is not None
    )


def _made_by(item: ExportClip) -> str:
    """`accepted` and `draft`: labelled here; `import`: from a file; `none`: nobody has said what sounds in it."""
    if item.labels is not None:
        return item.labels.state
    return "import" if item.has_truth else "none"


def _rights(inputs: ExportInputs) -> dict[str, Any]:
    by_license: dict[str, list[ExportClip]] = {}
    for item in inputs.clips:
        by_license.setdefault(item.license or "", []).append(item)
    return {
        "licenses": {
            name: {"clips": len(items), "sources": len({item.group for item in items})}
            for name, items in sorted(by_license.items())
            if name
        },
        "sources_without_license": sorted({item.clip.video_id for item in by_license.get("", [])}),
    }


def _tally(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(map(str, values)).items()))
