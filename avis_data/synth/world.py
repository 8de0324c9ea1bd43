"""A synthetic dataset on disk: the list of its videos, the media files, and the truth.

```
OUT/videos.csv             the list, for `avis-data fetch`
OUT/media/<video_id>.mp4   one in four is longer than its clip: the list gives start and end
OUT/truth.json             YouTube-VIS form: categories of aviseg-26, masks of the sounding seconds (or all, with flags)
OUT/scenes.json            everything else that is true: intervals of sound, silent and hidden seconds, look-alikes
OUT/scenes/<video_id>.json the same of one clip and the hash of its media file; a clip that has it is finished
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from avis_data.categories import category_set
from avis_data.errors import ConfigError, DataError
from avis_data.formats.ytvis import YtvisDataset, YtvisTrack, YtvisVideo, frame_times, read_ytvis, ytvis_json
from avis_data.io import (
    TEMPORARY_PREFIX,
    canonical_json,
    csv_text,
    read_json,
    sha256_file,
    sha256_text,
    write_json,
    write_text,
)
from avis_data.platforms import map_in_workers
from avis_data.recipe import Truth
from avis_data.records import MAX_FPS, Record, State
from avis_data.synth.encode import write_mp4
from avis_data.synth.labels import SceneLabels, label_scene
from avis_data.synth.picture import Painter
from avis_data.synth.plan import plan_scene
from avis_data.synth.scene import WorldOptions
from avis_data.synth.sound import mix, stems

__all__ = ["CATEGORY_SET", "WorldSummary", "check_options", "make_world"]

CATEGORY_SET = "aviseg-26"
_VERSION = 1
"""Raised when the same options give another world; clips made before it are made again."""
_COLUMNS = ("url", "video_id", "start", "end", "categories", "license", "split")
_LICENSE = "CC0-1.0"


class _Made(Record):
    """`scenes/<video_id>.json`: a clip that is finished."""

    key: str
    media_sha256: str
    labels: SceneLabels


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldSummary:
    """What was made."""

    num_clips: int
    num_made: int
    """How many of these were made by this call; the others were there."""
    num_tracks: int
    """Tracks with at least one sounding second: those in the truth."""
    num_masks: int


def make_world(
    options: WorldOptions,
    out: Path,
    *,
    num_clips: int,
    base_url: str | None = None,
    truth: Truth = "sounding",
    workers: int = 1,
    on_clip: Callable[[], None] = lambda: None,
) -> WorldSummary:
    """Make the clips that are not there yet, then the list and the truth of all of them.

    Args:
        options: seed, length and size of the clips.
        out: the folder; made if it is missing.
        num_clips: clips 0 to num_clips - 1; how many there are does not change any of them.
        base_url: the list holds `<base_url>/media/<video_id>.mp4`; None: paths relative to the list.
        truth: whether `truth.json` has the masks of what sounds, or of all that is seen, with flags `sounding`.
        workers: processes.
        on_clip: called once for each clip, as it is finished or found to be there.

    Raises:
        ConfigError: for options that cannot be, or a folder that holds somebody's own list.
        ToolError: if ffmpeg is missing or fails.
    """
    check_options(options, num_clips=num_clips, base_url=base_url)
    with _claimed(out):
        todo = []
        for index in range(num_clips):
            if _finished(out, options, index) is None:
                todo.append(index)
            else:
                on_clip()
        for _ in _made(options, out, todo, workers):
            on_clip()
        scenes = [_labels(out, options, index) for index in range(num_clips)]
        written = _write_lists(out, scenes, options, base_url, truth)
    return WorldSummary(
        num_clips=num_clips,
        num_made=len(todo),
        num_tracks=len(written.tracks),
        num_masks=sum(mask is not None for track in written.tracks for mask in track.masks),
    )


def check_options(options: WorldOptions, *, num_clips: int, base_url: str | None) -> None:
    """Raise ConfigError, with the value and the range, for a world that cannot be made."""
    for name, value, low, high in (
        ("--num-clips", num_clips, 1, 9999),
        ("--seconds", options.num_seconds, 1, 3600),
        ("--seed", options.seed, 0, 2**32 - 1),
        ("--size: width", options.width, 64, 3840),
        ("--size: height", options.height, 64, 2160),
        ("--video-fps", options.fps, 2, 60),
    ):
        if not low <= value <= high:
            raise ConfigError(f"{name} must be {low} to {high} (found {value})")
    if not 0 < options.label_fps <= MAX_FPS or options.num_seconds * options.label_fps < 0.5:
        raise ConfigError(f"--fps must be above 0, at most {MAX_FPS}, and give a still (found {options.label_fps})")
    if options.width % 2 or options.height % 2:
        raise ConfigError(f"--size must be even, for H.264 (found {options.width}x{options.height})")
    if base_url is not None and not base_url.startswith(("http://", "https://")):
        raise ConfigError(f"--base-url must begin with http:// or https:// (found {base_url!r:.80})")


@contextmanager
def _claimed(out: Path) -> Iterator[None]:
    """The folder, for this process alone, without what a killed run left half-written."""
    if (out / "videos.csv").exists() and not (out / "scenes.json").exists():
        raise ConfigError(f"{out}: holds a videos.csv that is not of a synthetic world", hint="--out ANOTHER_FOLDER")
    try:
        (out / "media").mkdir(parents=True, exist_ok=True)
        (out / "scenes").mkdir(exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"{out}: is a file, or holds a file where a folder is needed") from None
    try:
        with FileLock(out / ".lock", timeout=0):
            for folder in (out, out / "media", out / "scenes"):
                for left_over in folder.glob(f"{TEMPORARY_PREFIX}*"):
                    left_over.unlink()
            yield
    except Timeout:
        raise ConfigError(f"{out}: another `avis-data synth` is writing here") from None


def _key(options: WorldOptions, index: int) -> str:
    return sha256_text(canonical_json([_VERSION, options.as_dict(), index]))


def _finished(out: Path, options: WorldOptions, index: int) -> _Made | None:
    """The record of a clip, if it was made with these options and its media file is intact."""
    video_id = plan_scene(options, index).video_id
    media = out / "media" / f"{video_id}.mp4"
    try:
        made = _Made.model_validate(read_json(out / "scenes" / f"{video_id}.json"))
    except (DataError, ValidationError):
        return None
    intact = made.key == _key(options, index) and media.is_file() and sha256_file(media) == made.media_sha256
    return made if intact else None


def _labels(out: Path, options: WorldOptions, index: int) -> SceneLabels:
    path = out / "scenes" / f"{plan_scene(options, index).video_id}.json"
    return _Made.model_validate(read_json(path)).labels


def _made(options: WorldOptions, out: Path, todo: list[int], workers: int) -> Iterator[int]:
    """Make the clips, and give the number of each as it is finished."""
    if workers == 1 or len(todo) < 2:
        for index in todo:
            yield _make_clip(options, out, index)
        return
    work = partial(_make_clip, options, out)
    yield from map_in_workers(work, todo, workers=min(workers, len(todo)))


def _make_clip(options: WorldOptions, out: Path, index: int) -> int:
    scene = plan_scene(options, index)
    painter = Painter(scene)
    media = out / "media" / f"{scene.video_id}.mp4"
    write_mp4(
        media,
        (painter.picture(k) for k in range(scene.num_pictures)),
        mix(scene, stems(scene)),
        size_hw=(options.height, options.width),
        fps=options.fps,
    )
    made = _Made(key=_key(options, index), media_sha256=sha256_file(media), labels=label_scene(scene, painter))
    write_json(out / "scenes" / f"{scene.video_id}.json", made.model_dump(mode="json"), indent=None)
    return index


def _write_lists(
    out: Path, scenes: list[SceneLabels], options: WorldOptions, base_url: str | None, wanted: Truth
) -> YtvisDataset:
    truth = _truth(scenes, options, wanted)
    # First what tells that the folder is a synthetic world, so that a kill in between leaves one that can go on.
    write_json(out / "scenes.json", _scenes_json(scenes, options), indent=None)
    write_json(out / "truth.json", ytvis_json(truth), indent=None)
    _read_back(out / "truth.json", truth)
    write_text(out / "videos.csv", _list_text(scenes, base_url))
    return truth


def _truth(scenes: list[SceneLabels], options: WorldOptions, wanted: Truth) -> YtvisDataset:
    categories = tuple(category_set(CATEGORY_SET).categories)
    id_of = {category.name: category.id for category in categories}
    kinds = {State.SOUNDING} if wanted == "sounding" else {State.SOUNDING, State.SILENT}
    videos: list[YtvisVideo] = []
    tracks: list[YtvisTrack] = []
    for number, scene in enumerate(scenes, start=1):
        videos.append(_video(number, scene, options))
        for track in scene.tracks:
            shown = [state in kinds for state in track.states]
            if any(shown):
                flags = tuple(state is State.SOUNDING if state in kinds else None for state in track.states)
                found = YtvisTrack(
                    track_id=len(tracks) + 1,
                    video_id=number,
                    category_id=id_of[track.category],
                    masks=tuple(scene.mask(track, t) if has_mask else None for t, has_mask in enumerate(shown)),
                    sounding=flags if wanted == "visible" else None,
                )
                tracks.append(found)
    info = {"description": "Synthetic world of avis-data", "seed": options.seed, "version": str(_VERSION)}
    return YtvisDataset(videos=tuple(videos), tracks=tuple(tracks), categories=categories, info=info)


def _video(number: int, scene: SceneLabels, options: WorldOptions) -> YtvisVideo:
    return YtvisVideo(
        video_id=number,
        name=scene.clip_id,
        width=scene.width,
        height=scene.height,
        length=options.num_stills,
        file_names=tuple(f"{scene.clip_id}/{still}.jpg" for still in range(options.num_stills)),
        fps=scene.label_fps,
        frame_times=frame_times(options.num_stills, fps=scene.label_fps, frame_at="mid"),
    )


def _scenes_json(scenes: list[SceneLabels], options: WorldOptions) -> dict[str, object]:
    world = {**options.as_dict(), "num_clips": len(scenes), "version": _VERSION}
    return {"world": world, "scenes": [scene.model_dump(mode="json") for scene in scenes]}


def _read_back(path: Path, truth: YtvisDataset) -> None:
    found = read_ytvis(path)
    if found.videos != truth.videos or len(found.tracks) != len(truth.tracks):
        raise DataError(f"{path}: does not read back as it was written")


def _list_text(scenes: list[SceneLabels], base_url: str | None) -> str:
    rows = [_COLUMNS]
    for scene in scenes:
        place = f"media/{scene.video_id}.mp4"
        has_span = scene.end_s is not None
        rows.append(
            (
                place if base_url is None else f"{base_url.rstrip('/')}/{place}",
                scene.video_id,
                f"{scene.start_s:.3f}" if has_span else "",
                f"{scene.end_s:.3f}" if has_span else "",
                ";".join(sorted({track.category for track in scene.tracks})),
                _LICENSE,
                "",
            )
        )
    return csv_text(rows)
