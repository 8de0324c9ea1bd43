"""What each stage could work on: items made from the list and from what earlier stages found out."""

from __future__ import annotations

import heapq
import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from avis_data.cycles import no_cycle_search
from avis_data.features.store import bucket
from avis_data.ledger import Ledger, Output
from avis_data.manifest import write_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.engine.stage import Input, Item, RecordText
from avis_data.pipelines.stages.adopt import AdoptedVideo
from avis_data.pipelines.stages.embed import EmbedParams, EmbedRequest, PackRequest
from avis_data.pipelines.stages.extract import ExtractRequest
from avis_data.pipelines.stages.preview import PreviewRequest
from avis_data.pipelines.workspace_list import CLIP_ROW, ORIGINAL, originals
from avis_data.records import Clip, Video
from avis_data.video_list import ClipRow, VideoList

__all__ = [
    "Candidates",
    "embed_items",
    "extract_items",
    "fetch_items",
    "pack_items",
    "preview_items",
    "write_manifests",
]


_MEASURED = ("start_s", "num_seconds", "fps", "num_frames", "width", "height", "frame_at", "sound")


@dataclass(kw_only=True)
class Candidates:
    """The items that a stage could do now, and how many still wait for the stage before it."""

    items: list[Item] = field(default_factory=list)
    num_waiting: int = 0


def fetch_items(video_list: VideoList, ledger: Ledger) -> Candidates:
    """One item per source video of the list; a file of this machine is its input."""
    files = originals(video_list, ledger)
    return Candidates(
        items=[
            Item(
                item_id=download.video_id,
                record=download,
                inputs={ORIGINAL: files[download.video_id]} if download.video_id in files else {},
                home="sources",
            )
            for download in video_list.downloads
        ]
    )


@no_cycle_search()
def extract_items(ledger: Ledger) -> Candidates:
    """One item per wanted clip whose source video is there."""
    found = Candidates()
    files = ledger.outputs("fetch")
    sources = {
        video_id: (video.media.model_dump_json(), {"source": _input(files[video_id][0])})
        for video_id, video in _videos(ledger).items()
        if video.media is not None
    }
    for clip_id, video_id, span in ledger.wanted_spans():
        if video_id not in sources:
            found.num_waiting += 1
            continue
        media, inputs = sources[video_id]
        record = RecordText(ExtractRequest, f'{{"span":{span},"media":{media}}}')
        found.items.append(Item(item_id=clip_id, record=record, inputs=inputs, home=f"clips/{clip_id}"))
    return found


@no_cycle_search()
def preview_items(ledger: Ledger) -> Candidates:
    """One item per wanted clip that was extracted: only then its exact span is known."""
    found = Candidates()
    videos, files = _videos(ledger), ledger.outputs("fetch")
    extracted = {clip_id: json.loads(facts) for clip_id, facts in ledger.facts("extract")}
    for clip_id, row in _clip_rows(ledger):
        video, facts = videos.get(row.span.video_id), extracted.get(clip_id)
        if video is None or facts is None:
            found.num_waiting += 1
            continue
        found.items.append(
            Item(
                item_id=clip_id,
                record=PreviewRequest(
                    clip_id=clip_id, start_s=facts["start_s"], num_seconds=facts["num_seconds"], media=video.media
                ),
                inputs={"source": _input(files[video.video_id][0])},
                home=f"clips/{clip_id}",
            )
        )
    return found


@no_cycle_search()
def embed_items(ledger: Ledger) -> Candidates:
    """One item per wanted clip whose sound is there, extracted or adopted."""
    found = Candidates()
    for stage, rows in (("extract", ledger.wanted("clip")), ("adopt", ledger.adopted())):
        outputs = ledger.outputs(stage)
        facts = {clip_id: json.loads(text) for clip_id, text in ledger.facts(stage)}
        for clip_id, _ in rows:
            if clip_id not in facts:
                found.num_waiting += 1
                continue
            audio = _output_named(outputs[clip_id], "audio.wav")
            found.items.append(
                Item(
                    item_id=clip_id,
                    record=_embed_request(clip_id, facts[clip_id]),
                    inputs={"audio": _input(audio)},
                    home="features/vggish/clips",
                )
            )
    return found


def _embed_request(clip_id: str, facts: Mapping[str, Any]) -> EmbedRequest:
    names = ("num_seconds", "fps", "num_frames", "frame_at")
    return EmbedRequest(clip_id=clip_id, **{name: facts[name] for name in names})


@no_cycle_search()
def pack_items(ledger: Ledger, params: EmbedParams) -> Candidates:
    """One item per Parquet part: all wanted clips of its bucket that are embedded with these weights.

    A part that has no such clip any more is written once more, empty.
    """
    outputs = ledger.outputs("embed")
    wanted = {clip_id for rows in (ledger.wanted("clip"), ledger.adopted()) for clip_id, _ in rows}
    buckets: dict[str, dict[str, Input]] = {item_id.removeprefix("part-"): {} for item_id in ledger.outputs("pack")}
    for clip_id, text in ledger.facts("embed"):
        if clip_id in wanted and json.loads(text)["weights_sha256"] == params.weights_sha256:
            buckets.setdefault(bucket(clip_id), {})[clip_id] = _input(outputs[clip_id][0])
    return Candidates(
        items=[
            Item(item_id=f"part-{name}", record=PackRequest(bucket=name), inputs=inputs, home="features/vggish")
            for name, inputs in sorted(buckets.items())
        ]
    )


def write_manifests(workspace: Workspace, ledger: Ledger) -> None:
    """Rewrite `manifest/videos.jsonl` and `manifest/clips.jsonl` from the ledger: what is wanted and exists."""
    found = _videos(ledger)
    fetched = {video_id: found[video_id] for video_id, _ in ledger.wanted("video") if video_id in found}
    videos = heapq.merge(fetched.values(), _adopted_videos(ledger), key=lambda video: video.video_id)
    write_manifest(workspace.manifest / "videos.jsonl", videos)
    clips = heapq.merge(_extracted_clips(ledger, fetched), _adopted_clips(ledger), key=lambda clip: clip.clip_id)
    write_manifest(workspace.manifest / "clips.jsonl", clips)


def _extracted_clips(ledger: Ledger, fetched: Container[str]) -> Iterable[Clip]:
    """A clip whose source is not there any more (it was downloaded again, and that failed) is left out with it."""
    made = _made_clips(ledger, "extract")
    for clip_id, row in _clip_rows(ledger):
        if clip_id in made and row.span.video_id in fetched:
            of_list = {"categories": list(row.categories), "license": row.license, "split": row.split}
            yield Clip(clip_id=clip_id, video_id=row.span.video_id, **made[clip_id], **of_list)


def _adopted_clips(ledger: Ledger) -> Iterable[Clip]:
    made = _made_clips(ledger, "adopt")
    for clip_id, text in ledger.adopted():
        if clip_id in made:
            row = AdoptedVideo.model_validate_json(text)
            yield Clip(clip_id=clip_id, video_id=clip_id, **made[clip_id], license=row.license, split=row.split)


def _adopted_videos(ledger: Ledger) -> Iterable[Video]:
    """A source for each adopted clip, of its own: where it was taken from is not known."""
    facts = dict(ledger.facts("adopt"))
    for clip_id, text in ledger.adopted():
        if clip_id in facts:
            row, found = AdoptedVideo.model_validate_json(text), json.loads(facts[clip_id])
            yield Video(
                video_id=clip_id,
                url=f"file:{row.name}",
                path=f"clips/{clip_id}",
                size_bytes=found["source_bytes"],
                sha256=found["source_sha256"],
                license=row.license,
                extractor="ytvis",
                downloader="copy",
                accessed_on=found["adopted_on"],
                media=None,
            )


def _made_clips(ledger: Ledger, stage: str) -> dict[str, dict[str, Any]]:
    """By clip id, the fields of `Clip` that the stage measured."""
    outputs = ledger.outputs(stage)
    made = {}
    for clip_id, text in ledger.facts(stage):
        facts = json.loads(text)
        made[clip_id] = {name: facts[name] for name in _MEASURED} | {
            "frames_sha256": _output_named(outputs[clip_id], "frames").sha256,
            "audio_sha256": _output_named(outputs[clip_id], "audio.wav").sha256,
        }
    return made


def _videos(ledger: Ledger) -> dict[str, Video]:
    return {video_id: Video.model_validate_json(facts) for video_id, facts in ledger.facts("fetch")}


def _clip_rows(ledger: Ledger) -> Iterable[tuple[str, ClipRow]]:
    for clip_id, text in ledger.wanted("clip"):
        yield clip_id, CLIP_ROW.validate_json(text)


def _input(output: Output) -> Input:
    return Input(path=output.path, sha256=output.sha256, mtime_ns=output.mtime_ns)


def _output_named(outputs: list[Output], name: str) -> Output:
    return next(output for output in outputs if output.path.rpartition("/")[2] == name)
