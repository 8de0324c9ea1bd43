"""A small workspace that is ready for export, made through the public writers; no media tools, no network.

Its ledger says of every clip what the real stages would have said, with the keys that they would have: `export`,
`status` and plans see finished work. Only the source videos themselves are not there.
"""

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
from avis_data.io import sha256_file, sha256_text, sha256_tree, write_json
from avis_data.ledger import Done, Ledger, Output
from avis_data.manifest import read_manifest, write_manifest
from avis_data.masks.rle import area, box, encode
from avis_data.masks.table import write_masks
from avis_data.paths import STEREO_WAV, Workspace
from avis_data.pipelines.engine.stage import Item, item_key, params_key
from avis_data.pipelines.kept_video_list import CLIP_ROW
from avis_data.pipelines.manifests import write_manifests
from avis_data.pipelines.stages.embed import EmbedParams, EmbedStage, PackStage, embed_items, pack_items
from avis_data.pipelines.stages.extract import ExtractStage, extract_items
from avis_data.pipelines.truth_records import LabelledTruth, write_labelled_truth
from avis_data.recipe import load_recipe, shipped_recipe
from avis_data.records import Clip, MaskRow, Record, SoundState, Span, State, Track, Video, VideoStream
from avis_data.video_list import ClipRow

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
    categories: tuple[str, ...] = ()
    """As the list says."""
    same_bytes_as: str | None = None
    """Another source with the very same file."""
    copy_of: str | None = None
    """Another clip, of another source, with the very same stills and sound."""
    stereo: bool = False
    """Its sound has two channels that differ."""
    imported_silent: bool = False
    """A truth file says that nothing sounds in it."""


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
    """Write recipe, ledger, manifests, stills, sound, masks and embeddings."""
    workspace = Workspace(root)
    root.mkdir(parents=True, exist_ok=True)
    workspace.recipe.write_text(shipped_recipe("aviseg"), encoding="utf-8")
    ordered = sorted(clips, key=lambda clip: clip.clip_id)
    for clip in ordered:
        _write_media(workspace, clip)
    with Ledger(workspace.ledger) as ledger:
        _record_clips(workspace, ledger, ordered)
        write_manifests(workspace, ledger)
        _embed(workspace, ledger, ordered, weights)
    write_manifest(
        workspace.manifest / "tracks.jsonl", [_track(clip, track) for clip in ordered for track in clip.tracks]
    )
    write_masks(workspace.masks, [row for clip in ordered for track in clip.tracks for row in _rows(clip, track)])
    _write_import_record(workspace, ordered)
    _write_labelled_truth(workspace, ordered)
    return workspace


def _write_media(workspace: Workspace, clip: FakeClip) -> None:
    width, height = WIDTH_HEIGHT
    folder = workspace.clip_dir(clip.clip_id)
    (folder / "frames").mkdir(parents=True)
    rng = np.random.default_rng(int(sha256((clip.copy_of or clip.clip_id).encode()).hexdigest()[:8], 16))
    for second in range(clip.num_seconds):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(workspace.frame(clip.clip_id, second), quality=90)
    samples = rng.integers(-20000, 20000, clip.num_seconds * 16000, dtype=np.int16)
    soundfile.write(folder / "audio.wav", samples, 16000, subtype="PCM_16")
    if clip.stereo:
        both_N2 = np.stack((samples, samples // 2), axis=1)
        soundfile.write(folder / STEREO_WAV, both_N2, 16000, subtype="PCM_16")


def _record_clips(workspace: Workspace, ledger: Ledger, clips: Sequence[FakeClip]) -> None:
    """List, downloads and extraction."""
    videos = {clip.video_id: _video(clip) for clip in clips}
    rows = [
        ClipRow(
            span=Span(clip_id=clip.clip_id, video_id=clip.video_id, end_s=float(clip.num_seconds)),
            categories=clip.categories,
            split=clip.split,  # type: ignore[arg-type]  # checked by the record
        )
        for clip in clips
    ]
    ledger.replace_wanted(videos, [(row.span.clip_id, CLIP_ROW.dump_json(row).decode()) for row in rows])
    for video in videos.values():
        source = Output(path=video.path, sha256=video.sha256, size_bytes=video.size_bytes)
        facts = video.model_dump(mode="json")
        done = Done(item_id=video.video_id, key="", facts=facts, inputs={}, outputs=[source], wall_s=1.0, cpu_s=1.0)
        ledger.commit_done("fetch", done)
    params, seconds = load_recipe(workspace).extract, {clip.clip_id: clip.num_seconds for clip in clips}
    for item in extract_items(ledger).items:
        facts = {
            "start_s": 0.0,
            "num_seconds": seconds[item.item_id],
            "fps": params.fps,
            "num_frames": seconds[item.item_id],
            "width": WIDTH_HEIGHT[0],
            "height": WIDTH_HEIGHT[1],
            "frame_at": params.frame_at,
            "sound": SoundState.COMPLETE.value,
        }
        folder = workspace.clip_dir(item.item_id)
        made = [folder / "frames", folder / "audio.wav"]
        if (folder / STEREO_WAV).exists():
            made.append(folder / STEREO_WAV)
            facts["stereo_db"] = -9.5  # 20 log10((1 - 1/2) / (1 + 1/2))
        _commit(workspace, ledger, ExtractStage, params, item, facts, made)


def _embed(workspace: Workspace, ledger: Ledger, clips: Sequence[FakeClip], weights: str) -> None:
    """Arrays, and the parts of the table."""
    seconds = {clip.clip_id: clip.num_seconds for clip in clips}
    params = EmbedParams(weights_sha256=weights)
    arrays = workspace.features / "clips"
    arrays.mkdir(parents=True)
    for item in embed_items(ledger).items:
        path = arrays / f"{item.item_id}.npy"
        np.save(path, embeddings_of(item.item_id, seconds[item.item_id]))
        facts = {"fps": 1.0, "num_frames": seconds[item.item_id], **params.model_dump(mode="json")}
        _commit(workspace, ledger, EmbedStage, params, item, facts, [path])
    parts: dict[str, list[str]] = defaultdict(list)
    for clip_id in sorted(seconds):
        parts[bucket(clip_id)].append(clip_id)
    for name, of_part in parts.items():
        write_part(
            workspace.features / part_name(name),
            [(clip_id, embeddings_of(clip_id, seconds[clip_id])) for clip_id in of_part],
            weights_sha256=weights,
            front_end="official",
            window_s=0.96,
        )
    for item in pack_items(ledger, params).items:
        path = workspace.features / f"{item.item_id}.parquet"
        _commit(workspace, ledger, PackStage, params, item, {"num_clips": len(item.inputs)}, [path])


def _commit(
    workspace: Workspace,
    ledger: Ledger,
    stage: type[ExtractStage] | type[EmbedStage] | type[PackStage],
    params: Record,
    item: Item,
    facts: dict[str, object],
    paths: list[Path],
) -> None:
    """As the runner does."""
    outputs = [
        Output(
            path=workspace.relative(path),
            sha256=sha256_tree(path),
            size_bytes=path.stat().st_size,
            mtime_ns=path.stat().st_mtime_ns,
        )
        for path in paths
    ]
    done = Done(
        item_id=item.item_id,
        key=item_key(params_key(stage.name, stage.version, params), item),
        facts=facts,
        inputs={name: found.sha256 for name, found in item.inputs.items()},
        outputs=outputs,
        wall_s=1.0,
        cpu_s=1.0,
    )
    ledger.commit_done(stage.name, done)


def _write_import_record(workspace: Workspace, clips: Sequence[FakeClip]) -> None:
    """That the tracks of the round `import`, and what is silent, came from one file."""
    of_file = {
        clip.clip_id: {
            "frames_sha256": sha256_tree(workspace.clip_dir(clip.clip_id) / "frames"),
            "audio_sha256": sha256_file(workspace.clip_dir(clip.clip_id) / "audio.wav"),
            "num_tracks": sum(track.round == "import" for track in clip.tracks),
        }
        for clip in clips
        if clip.imported_silent or any(track.round == "import" for track in clip.tracks)
    }
    if of_file:
        sha256_of_truth = sha256_text("truth.json")
        record = {"format": "ytvis", "file": "truth.json", "sha256": sha256_of_truth, "clips": of_file}
        write_json(workspace.annotations / f"import-{sha256_of_truth[:8]}" / "import.json", record)


def _write_labelled_truth(workspace: Workspace, clips: Sequence[FakeClip]) -> None:
    """That the tracks of the rounds `accepted` and `draft` are labels of people, where a clip has any."""
    clips_of_manifest = {clip.clip_id: clip for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)}
    entries = {}
    for clip in clips:
        rounds = [track.round for track in clip.tracks]
        state = next((name for name in ("accepted", "draft") if name in rounds), None)
        if state is not None:
            made_for = clips_of_manifest[clip.clip_id]
            entries[clip.clip_id] = LabelledTruth(
                state=state,  # type: ignore[arg-type]  # one of the two
                round="review" if state == "accepted" else "draft",
                labelled_by=("ann@example.com",),
                reviewed_by=("rev@example.com",) if state == "accepted" else (),
                labels_sha256=sha256_text(clip.clip_id),
                num_tracks=rounds.count(state),
                frames_sha256=made_for.frames_sha256,
                audio_sha256=made_for.audio_sha256,
            )
    if entries:
        write_labelled_truth(workspace, entries)


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
                frame=second,
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
