"""Show predictions of a split in the AVISeg layout: of which clips and models, and what is drawn of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from avis_data.errors import ConfigError, DataError
from avis_data.formats.aviseg_folders import sound_path
from avis_data.masks.rle import Rle, area
from avis_data.report.clips import ClipView, TrackView
from avis_data.report.render import write_views
from avis_data.training.data.clips import PredictedTrack
from avis_data.training.data.split import DatasetClip, SplitData, open_split
from avis_data.training.predict.results import read_results

__all__ = ["panel_title", "panel_titles", "predicted_view", "true_view", "visualize"]


def visualize(
    data: Path,
    results: Mapping[str, Path],
    out: Path,
    *,
    split_name: str = "test",
    clip_ids: Sequence[str] = (),
    on_clip: Callable[[int], None] = lambda of: None,
) -> list[Path]:
    """Render predictions of a split: `<clip>.mp4` and `<clip>.png` for every clip, with a panel for each model.

    Args:
        data: a dataset in the AVISeg layout.
        results: title of the panel -> result file; a title may be empty where there is one file.
        clip_ids: only these; empty: all.
        on_clip: called after each clip with the number of all.

    Returns:
        The files that were written.

    Raises:
        DataError: if dataset, results or clip ids are not in order; if a file of a clip is bad, after the others were
            written.
        ToolError: if ffmpeg is missing.
    """
    split = open_split(data, split_name, num_classes=None, audio=None)
    found = {title: read_results(path, split) for title, path in results.items()}
    by_id = {clip.clip_id: clip for clip in split.clips}
    unknown = sorted(set(clip_ids) - set(by_id))
    if unknown:
        raise DataError(f"{split.truth}: has no clip {', '.join(unknown)}")
    chosen = [clip_id for clip_id in by_id if not clip_ids or clip_id in clip_ids]

    def panels(clip_id: str) -> list[ClipView]:
        tracks_of = {title: tracks[clip_id] for title, tracks in found.items()}
        return [
            replace(predicted_view(split, by_id[clip_id], tracks), title=panel_title(title, bool(tracks)))
            for title, tracks in tracks_of.items()
        ]

    return write_views(chosen, panels, out, on_clip=lambda: on_clip(len(chosen)))


def panel_titles(predictions: Sequence[Path], titles: Sequence[str] = ()) -> dict[str, Path]:
    """What each panel is called: as is said, else after that part of the paths in which all differ.

    `runs/avism/results.json` and `runs/rcf/results.json` are `avism` and `rcf`. One alone has no title.

    Args:
        predictions: files, or folders of masks.
        titles: their titles, in this order; empty: after the paths.

    Raises:
        ConfigError: if one is given twice, or titles are not as many as predictions or not different.
    """
    real = [path.resolve() for path in predictions]
    if len(set(real)) < len(real):
        twice = next(path for path, at in zip(predictions, real, strict=True) if real.count(at) > 1)
        raise ConfigError(f"--pred {twice}: is given twice")
    if titles:
        if len(titles) != len(predictions) or len(set(titles)) < len(titles) or not all(map(str.strip, titles)):
            raise ConfigError(
                f"{len(predictions)} predictions need as many titles, each another one: {', '.join(titles)}",
                hint=" ".join(
                    f"--pred {path} --title NAME{number}" for number, path in enumerate(predictions, start=1)
                ),
            )
        return dict(zip(titles, predictions, strict=True))
    return dict(zip(_names_of(real), predictions, strict=True)) if len(real) > 1 else {"": predictions[0]}


def _names_of(paths: Sequence[Path]) -> list[str]:
    """Names of different paths, as short as they can be."""
    parts = [(*path.parts[1:-1], path.name.removesuffix(".json")) for path in paths]
    depth = max(map(len, parts))
    for number in range(1, depth + 1):
        names = [of_path[-number] if number <= len(of_path) else "" for of_path in parts]
        if len(set(names)) == len(names) and all(names):
            return names
    for number in range(2, depth + 1):
        names = ["/".join(of_path[-number:]) for of_path in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def panel_title(title: str, has_any: bool) -> str:
    """The title of a panel, which says where a model found nothing; empty where there is no title."""
    return title if has_any or not title else f"{title}: nothing found"


def true_view(split: SplitData, clip: DatasetClip) -> ClipView:
    """A clip with its true tracks."""
    labels = [split.categories.get(track.label + 1, f"class {track.label + 1}") for track in clip.tracks]
    return _view(split, clip, labels, [track.masks for track in clip.tracks])


def predicted_view(split: SplitData, clip: DatasetClip, tracks: Sequence[PredictedTrack]) -> ClipView:
    """A clip with predicted tracks, named by class and score in percent; an empty mask means that it is silent."""
    labels = [
        f"{split.categories.get(track.label + 1, f'class {track.label + 1}')} {100 * track.score:.0f}"
        for track in tracks
    ]
    masks = [tuple(mask if area(mask) else None for mask in track.masks) for track in tracks]
    return _view(split, clip, labels, masks)


def _view(
    split: SplitData, clip: DatasetClip, labels: Sequence[str], masks: Sequence[tuple[Rle | None, ...]]
) -> ClipView:
    return ClipView(
        name=clip.clip_id,
        split=split.name,
        stills=tuple(clip.folder / name for name in clip.file_names),
        sound=_sound_of(split, clip),
        tracks=tuple(TrackView(label=label, masks=row) for label, row in zip(labels, masks, strict=True)),
        fps=clip.times.fps,
    )


def _sound_of(split: SplitData, clip: DatasetClip) -> Path | None:
    """The WAV file of a clip; None where there is none."""
    path = sound_path(split.truth.parent, split.name, clip.clip_id)
    return path if path.is_file() else None
