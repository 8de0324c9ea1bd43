"""A small workspace that is ready for export, made through the public writers; no media tools, no network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from avis_data.features.store import bucket, part_name, write_part
from avis_data.io import sha256_file, sha256_tree
from avis_data.manifest import write_manifest
from avis_data.masks.rle import area, box, encode
from avis_data.masks.table import write_masks
from avis_data.paths import Workspace
from avis_data.recipe import shipped_recipe
from avis_data.records import Clip, MaskRow, SoundState, State, Track, Video, VideoStream

__all__ = ["WIDTH_HEIGHT", "FakeClip", "FakeTrack", "embeddings_of", "make_workspace", "mask_of"]

WIDTH_HEIGHT = (48, 32)


@dataclass(frozen=True, kw_only=True)
class FakeTrack:
    """One track: in which seconds it sounds, is silent or hidden."""

    track_id: str
    category: str = "dog"
    sounding: tuple[int, ...] = (0, 1)
    silent: tuple[int, ...] = ()
    round: str = "import"


@dataclass(frozen=True, kw_only=True)
class FakeClip:
    """One clip of `num_seconds`."""

    clip_id: str
    video_id: str
    num_seconds: int = 3
    tracks: tuple[FakeTrack, ...] = ()
    split: str | None = None
    license: str | None = None
    same_bytes_as: str | None = None
    """Another source with the very same file."""


def mask_of(clip_id: str, track_id: str, second: int) -> np.ndarray:
    """bool (H, W): a shape with a hole and a loose pixel, at a place of its own for each track and second."""
    width, height = WIDTH_HEIGHT
    mask = np.zeros((height, width), dtype=bool)
    number = int(sha256(f"{clip_id}/{track_id}".encode()).hexdigest(), 16)
    x, y = number % 30, (number // 64) % 18
    mask[y : y + 9, x + second % 3 : x + 12] = True
    mask[y + 3 : y + 5, x + 4 : x + 7] = False
    mask[31, 47] = True
    return mask


def embeddings_of(clip_id: str, num_seconds: int) -> np.ndarray:
    """float32 (T, 128), half of it zero."""
    rng = np.random.default_rng(int(sha256(clip_id.encode()).hexdigest()[:8], 16))
    return np.maximum(rng.standard_normal((num_seconds, 128)), 0).astype(np.float32)


def make_workspace(root: Path, clips: Sequence[FakeClip], *, weights: str = "untrained-0") -> Workspace:
    """Write recipe, manifests, stills, sound, masks and embeddings."""
    workspace = Workspace(root)
    root.mkdir(parents=True, exist_ok=True)
    workspace.recipe.write_text(shipped_recipe("aviseg"), encoding="utf-8")
    ordered = sorted(clips, key=lambda clip: clip.clip_id)
    write_manifest(workspace.manifest / "clips.jsonl", [_write_clip(workspace, clip) for clip in ordered])
    videos = {clip.video_id: clip for clip in ordered}
    write_manifest(workspace.manifest / "videos.jsonl", [_video(videos[name]) for name in sorted(videos)])
    write_manifest(
        workspace.manifest / "tracks.jsonl", [_track(clip, track) for clip in ordered for track in clip.tracks]
    )
    write_masks(workspace.masks, [row for clip in ordered for track in clip.tracks for row in _rows(clip, track)])
    parts: dict[str, list[FakeClip]] = defaultdict(list)
    for clip in ordered:
        parts[bucket(clip.clip_id)].append(clip)
    for name, of_part in parts.items():
        write_part(
            workspace.features / part_name(name),
            [(clip.clip_id, embeddings_of(clip.clip_id, clip.num_seconds)) for clip in of_part],
            weights_sha256=weights,
            front_end="official",
            window_s=0.96,
        )
    return workspace


def _write_clip(workspace: Workspace, clip: FakeClip) -> Clip:
    width, height = WIDTH_HEIGHT
    folder = workspace.clip_dir(clip.clip_id)
    (folder / "frames").mkdir(parents=True)
    rng = np.random.default_rng(int(sha256(clip.clip_id.encode()).hexdigest()[:8], 16))
    for second in range(clip.num_seconds):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(workspace.frame(clip.clip_id, second), quality=90)
    samples = rng.integers(-20000, 20000, clip.num_seconds * 16000, dtype=np.int16)
    soundfile.write(folder / "audio.wav", samples, 16000, subtype="PCM_16")
    return Clip(
        clip_id=clip.clip_id,
        video_id=clip.video_id,
        start_s=0.0,
        num_seconds=clip.num_seconds,
        width=width,
        height=height,
        frame_at="mid",
        sound=SoundState.COMPLETE,
        frames_sha256=sha256_tree(folder / "frames"),
        audio_sha256=sha256_file(folder / "audio.wav"),
        split=clip.split,  # type: ignore[arg-type]  # checked by the record
    )


def _video(clip: FakeClip) -> Video:
    content = clip.same_bytes_as or clip.video_id
    return Video(
        video_id=clip.video_id,
        url=f"https://example.org/{clip.video_id}.mp4",
        path=f"sources/{clip.video_id}.mp4",
        size_bytes=1000,
        sha256=sha256(content.encode()).hexdigest(),
        license=clip.license,
        extractor="generic",
        downloader="2026.01.01",
        accessed_on="2026-01-02",
        media=VideoStream(
            duration_s=60.0,
            start_s=0.0,
            video_index=0,
            video_start_s=0.0,
            width=WIDTH_HEIGHT[0],
            height=WIDTH_HEIGHT[1],
            fps=25.0,
            video_codec="h264",
        ),
    )


def _track(clip: FakeClip, track: FakeTrack) -> Track:
    return Track(
        track_id=track.track_id,
        clip_id=clip.clip_id,
        category=track.category,
        num_sounding=len(track.sounding),
        origin="file:truth.json",
        round=track.round,
    )


def _rows(clip: FakeClip, track: FakeTrack) -> list[MaskRow]:
    rows = []
    for second in sorted({*track.sounding, *track.silent}):
        rle = encode(mask_of(clip.clip_id, track.track_id, second))
        rows.append(
            MaskRow(
                clip_id=clip.clip_id,
                track_id=track.track_id,
                category=track.category,
                second=second,
                state=State.SOUNDING if second in track.sounding else State.SILENT,
                height=rle.height,
                width=rle.width,
                counts=rle.counts,
                area_px=area(rle),
                box_xywh=box(rle),
                origin="file:truth.json",
                round=track.round,
            )
        )
    return rows
