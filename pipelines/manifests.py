"""The manifests of a workspace, `manifest/videos.jsonl` and `manifest/clips.jsonl`, made anew from the ledger."""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable, Mapping

from avis_data.ledger import Ledger, Output
from avis_data.manifest import write_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.kept_video_list import wanted_clips
from avis_data.pipelines.stages.adopt import AdoptedVideo, AdoptFacts
from avis_data.pipelines.stages.extract import ClipFacts, ExtractFacts
from avis_data.pipelines.stages.fetch import fetched_videos
from avis_data.records import Clip, SplitName, Video

__all__ = ["write_manifests"]

_OF_A_CLIP = ("frames", "audio.wav")


def write_manifests(workspace: Workspace, ledger: Ledger) -> None:
    """Write both manifests: what is wanted and exists."""
    found = fetched_videos(ledger)
    fetched = {video_id: found[video_id] for video_id, _ in ledger.wanted("video") if video_id in found}
    videos = heapq.merge(fetched.values(), _adopted_videos(ledger), key=lambda video: video.video_id)
    write_manifest(workspace.manifest / "videos.jsonl", videos)
    clips = heapq.merge(_extracted_clips(ledger, fetched), _adopted_clips(ledger), key=lambda clip: clip.clip_id)
    write_manifest(workspace.manifest / "clips.jsonl", clips)


def _extracted_clips(ledger: Ledger, fetched: Container[str]) -> Iterable[Clip]:
    """A clip whose source is not there any more (it was downloaded again, and that failed) is left out with it."""
    facts = dict(ledger.read_facts("extract", ExtractFacts))
    outputs = ledger.named_outputs("extract", *_OF_A_CLIP)
    for clip_id, row in wanted_clips(ledger):
        if clip_id in facts and row.span.video_id in fetched:
            yield _clip(
                clip_id,
                row.span.video_id,
                facts[clip_id],
                outputs[clip_id],
                categories=list(row.categories),
                license=row.license,
                split=row.split,
            )


def _adopted_clips(ledger: Ledger) -> Iterable[Clip]:
    facts = dict(ledger.read_facts("adopt", AdoptFacts))
    outputs = ledger.named_outputs("adopt", *_OF_A_CLIP)
    for clip_id, row in ledger.read_adopted(AdoptedVideo):
        if clip_id in facts:
            yield _clip(clip_id, clip_id, facts[clip_id], outputs[clip_id], license=row.license, split=row.split)


def _clip(
    clip_id: str,
    video_id: str,
    facts: ClipFacts,
    outputs: Mapping[str, Output],
    *,
    categories: list[str] | None = None,
    license: str | None,
    split: SplitName | None,
) -> Clip:
    return Clip(
        clip_id=clip_id,
        video_id=video_id,
        start_s=facts.start_s,
        num_seconds=facts.num_seconds,
        fps=facts.fps,
        num_frames=facts.num_frames,
        width=facts.width,
        height=facts.height,
        frame_at=facts.frame_at,
        sound=facts.sound,
        frames_sha256=outputs["frames"].sha256,
        audio_sha256=outputs["audio.wav"].sha256,
        categories=categories or [],
        license=license,
        split=split,
    )


def _adopted_videos(ledger: Ledger) -> Iterable[Video]:
    """A source for each adopted clip, of its own: where it was taken from is not known."""
    facts = dict(ledger.read_facts("adopt", AdoptFacts))
    for clip_id, row in ledger.read_adopted(AdoptedVideo):
        if clip_id in facts:
            found = facts[clip_id]
            yield Video(
                video_id=clip_id,
                url=f"file:{row.name}",
                path=f"clips/{clip_id}",
                size_bytes=found.source_bytes,
                sha256=found.source_sha256,
                license=row.license,
                extractor="ytvis",
                downloader="copy",
                accessed_on=found.adopted_on,
                media=None,
            )
