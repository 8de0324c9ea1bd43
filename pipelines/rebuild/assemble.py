"""Put together what could be had again: compared clip by clip, and stamped with what it is a subset of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from avis_data.errors import DataError, ItemError
from avis_data.features.store import read_embeddings
from avis_data.formats.aviseg_folders import SOUNDS, STILLS, features_path, frame_name, frames_dir, sound_path
from avis_data.io import link_or_copy, read_json, write_json
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest
from avis_data.media.sound import SAMPLE_RATE_HZ
from avis_data.media.stereo import read_stereo
from avis_data.paths import STEREO_WAV, Workspace
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.pipelines.exports.media import write_wav
from avis_data.pipelines.exports.publish import publishing
from avis_data.pipelines.rebuild.bundle import Bundle
from avis_data.records import Clip, Video
from avis_data.versions.media_prints import ClipPrint, looks_apart, loudness_apart_db, print_of
from avis_data.versions.subset import Missing, SplitSubset, Subset, write_subset

__all__ = ["FARTHEST_DB", "FARTHEST_GREY", "assemble", "why_missing"]

FARTHEST_GREY = 8.0
"""Mean grey levels between two stills of 8 x 8 that still show the same; another encoding makes less than 2."""
FARTHEST_DB = 4.0
"""Mean difference of loudness of sounds that are still the same."""


@dataclass(frozen=True)
class _Found:
    """A clip that is there again."""

    clip: Clip
    how_far: str | None
    """None: the same to the bit."""


def assemble(
    workspace: Workspace, bundle: Bundle, name: str, *, on_clip: Callable[[], None] = lambda: None
) -> tuple[Path, Subset]:
    """Write `exports/<name>/`: the published truth of what is there, its stills, sound and, where there are, features.

    Ids of videos and tracks stay those of the published set. An earlier one of this name is replaced.

    Args:
        workspace: in which everything was fetched and extracted.
        bundle: the published set.
        name: folder below `exports/`.
        on_clip: called after each clip.

    Returns:
        The folder, and what it holds.

    Raises:
        BusyError: if another command is at work in the workspace.
        DataError: if nothing is there any more, or a file of the bundle is damaged.
    """
    with open_for_work(workspace, "avis-data rebuild") as ledger:
        clips = {clip.clip_id: clip for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)}
        videos = {video.video_id: video for video in read_manifest(workspace.manifest / "videos.jsonl", Video)}
        reasons = _reasons(ledger)
        found: dict[str, _Found] = {}
        missing = []
        for split, dataset in bundle.splits.items():
            for entry in dataset.videos:
                published, clip = bundle.print_of(entry.name), clips.get(entry.name)
                if clip is None:
                    result: _Found | tuple[str, str] = why_missing(entry.name, bundle.video_of.get(entry.name), reasons)
                else:
                    result = _compared(workspace, published, clip, videos)
                if isinstance(result, _Found):
                    found[entry.name] = result
                else:
                    missing.append(Missing(name=entry.name, split=split, reason=result[0], message=result[1]))
                on_clip()
        if not found:
            raise DataError(
                f"{bundle.root}: nothing of it could be had again: {missing[0].reason}: {missing[0].message}"
            )
        subset = _subset(bundle, found, missing)
        target = workspace.exports / name
        with publishing(workspace, target, needed_bytes=0) as part:  # stills are links
            _write(workspace, bundle, found, part, with_features=ledger.done_keys("embed").keys() & found)
            write_subset(part, subset)
    return target, subset


def _reasons(ledger: Ledger) -> dict[str, tuple[str, str]]:
    """Of videos and clips that failed: the reason and the message, by id; videos under `video <id>`."""
    found = {}
    for stage, prefix in (("fetch", "video "), ("extract", "")):
        for item_id, entry in ledger.entries(stage).items():
            if entry.reason is not None:
                found[prefix + item_id] = (str(entry.reason), entry.message or "")
    return found


def _compared(
    workspace: Workspace,
    published: ClipPrint,
    clip: Clip,
    videos: Mapping[str, Video],
) -> _Found | tuple[str, str]:
    """The clip, if it is the published one; else why not."""
    try:
        mine = _print(workspace, clip, videos)
    except (DataError, ItemError, OSError) as error:
        return ("torn", f"{error}")
    if [still.sha256 for still in mine.stills] == [still.sha256 for still in published.stills]:
        if mine.sound_sha256 == published.sound_sha256:
            return _Found(clip, None)
    if (mine.width, mine.height) != (published.width, published.height):
        message = f"{mine.width}x{mine.height} now, published as {published.width}x{published.height}: masks do not fit"
        return ("other_size", message)
    grey, decibels = looks_apart(mine, published), loudness_apart_db(mine, published)
    if grey is None or decibels is None:
        return ("other_length", f"{len(mine.stills)} stills now, {len(published.stills)} published")
    how_far = f"stills {grey:.1f} grey levels apart at most, sound {decibels:.1f} dB in the mean"
    if grey > FARTHEST_GREY or decibels > FARTHEST_DB:
        return ("other_content", how_far)
    return _Found(clip, how_far)


def why_missing(clip_id: str, video_id: str | None, reasons: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    """The reason and the message of a clip that is not there.

    Args:
        clip_id: of the clip.
        video_id: of its video in the published list; None: it is not in that.
        reasons: of what failed: by clip, and by `video <id>`.
    """
    for name in (clip_id, f"video {video_id}"):
        if name in reasons:
            return reasons[name]
    return ("no_link", "the published list has no link that leads to it")


def _print(workspace: Workspace, clip: Clip, videos: Mapping[str, Video]) -> ClipPrint:
    return print_of(
        clip.clip_id,
        [workspace.frame(clip.clip_id, number) for number in range(clip.num_frames)],
        _samples(workspace, clip),
        source_sha256=videos[clip.video_id].sha256 if clip.video_id in videos else "",
        sound_sha256=clip.audio_sha256,
    )


def _samples(workspace: Workspace, clip: Clip) -> NDArray[np.int16]:
    path = workspace.clip_dir(clip.clip_id) / "audio.wav"
    try:
        samples_N, rate = soundfile.read(path, dtype="int16")
    except (OSError, soundfile.SoundFileError) as error:
        raise DataError(f"{path}: cannot be read as sound ({error})") from None
    if samples_N.ndim != 1 or rate != SAMPLE_RATE_HZ:
        raise DataError(f"{path}: must be 16 kHz mono")
    mono_N: NDArray[np.int16] = samples_N
    return mono_N


def _two_channels(workspace: Workspace, clip: Clip) -> NDArray[np.int16]:
    """The sound as sets have it: its two channels, or the mono sound twice; int16 (N, 2)."""
    if clip.stereo_sha256 is None:
        return np.repeat(_samples(workspace, clip)[:, None], 2, axis=1)
    return read_stereo(workspace.clip_dir(clip.clip_id) / STEREO_WAV, num_seconds=clip.num_seconds)


def _subset(bundle: Bundle, found: Mapping[str, _Found], missing: list[Missing]) -> Subset:
    names = {split: [video.name for video in dataset.videos] for split, dataset in bundle.splits.items()}
    return Subset(
        set_sha256=bundle.sha256,
        splits={
            split: SplitSubset(videos=tuple(sorted(name for name in of_split if name in found)), of=len(of_split))
            for split, of_split in names.items()
        },
        missing=tuple(missing),
        same=sum(entry.how_far is None for entry in found.values()),
        near={name: entry.how_far for name, entry in sorted(found.items()) if entry.how_far is not None},
    )


def _write(
    workspace: Workspace, bundle: Bundle, found: Mapping[str, _Found], folder: Path, *, with_features: Set[str]
) -> None:
    for split, dataset in bundle.splits.items():
        raw = read_json(bundle.files[split])
        there = {video.video_id for video in dataset.videos if video.name in found}
        raw["videos"] = [entry for entry in raw["videos"] if entry["id"] in there]
        if raw.get("annotations") is not None:
            raw["annotations"] = [entry for entry in raw["annotations"] if entry["video_id"] in there]
        write_json(folder / f"{split}.json", raw, indent=None)
        for kind in (STILLS, SOUNDS):
            (folder / split / kind).mkdir(parents=True)
        names = [video.name for video in dataset.videos if video.name in found]
        for name in names:
            _write_clip(workspace, found[name].clip, folder, split)
        for name, embeddings_TD in read_embeddings(workspace.features, sorted(with_features & set(names))):
            path = features_path(folder, split, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, embeddings_TD, allow_pickle=False)


def _write_clip(workspace: Workspace, clip: Clip, folder: Path, split: str) -> None:
    stills = frames_dir(folder, split, clip.clip_id)
    stills.mkdir()
    for number in range(clip.num_frames):
        link_or_copy(workspace.frame(clip.clip_id, number), stills / frame_name(number))
    write_wav(sound_path(folder, split, clip.clip_id), _two_channels(workspace, clip))
