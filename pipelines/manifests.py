"""The manifests of a workspace, made anew from the ledger: `manifest/videos.jsonl`, `clips.jsonl`, `ledger.jsonl`."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping

from avis_data.ledger import Ledger, Output
from avis_data.manifest import write_manifest
from avis_data.paths import STEREO_WAV, Workspace
from avis_data.pipelines.kept_video_list import wanted_clips
from avis_data.pipelines.stages import STAGES
from avis_data.pipelines.stages.adopt import AdoptedVideo, AdoptFacts
from avis_data.pipelines.stages.extract import ClipFacts, ExtractFacts
from avis_data.pipelines.stages.fetch import fetched_videos
from avis_data.pipelines.upkeep.licenses import with_list
from avis_data.records import Clip, SplitName, Video
from avis_data.video_list import ClipRow

__all__ = ["existing_clips", "existing_videos", "stages_in_text", "write_manifests"]

_OF_A_CLIP = ("frames", "audio.wav")


def write_manifests(workspace: Workspace, ledger: Ledger) -> None:
    """Write what is wanted and exists, videos and clips, and the ledger as text where that is not the newest."""
    write_manifest(workspace.manifest / "videos.jsonl", existing_videos(ledger))
    write_manifest(workspace.manifest / "clips.jsonl", existing_clips(ledger))
    if not ledger.has_text or not workspace.ledger_text.is_file():
        ledger.keep_text(workspace.ledger_text, stages_in_text())


def stages_in_text() -> list[str]:
    """Whose items stand in `manifest/ledger.jsonl`: those that a run would do again if they were forgotten."""
    return [part.name for spec in STAGES for part in spec.parts]


def existing_videos(ledger: Ledger) -> Iterator[Video]:
    """The videos that are wanted and there, by id."""
    return heapq.merge(_fetched(ledger).values(), _adopted_videos(ledger), key=lambda video: video.video_id)


def existing_clips(ledger: Ledger) -> Iterator[Clip]:
    """The clips that are wanted and there, by id."""
    extracted = _extracted_clips(ledger, _fetched(ledger))
    return heapq.merge(extracted, _adopted_clips(ledger), key=lambda clip: clip.clip_id)


def _fetched(ledger: Ledger) -> dict[str, Video]:
    found = fetched_videos(ledger)
    listed: dict[str, list[ClipRow]] = defaultdict(list)
    for _, row in wanted_clips(ledger):
        listed[row.span.video_id].append(row)
    return {
        video_id: with_list(found[video_id], listed[video_id])
        for video_id, _ in ledger.wanted("video")
        if video_id in found
    }


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
    stereo = outputs.get(STEREO_WAV)
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
        stereo_sha256=stereo.sha256 if stereo else None,
        stereo_db=facts.stereo_db if stereo else None,
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
