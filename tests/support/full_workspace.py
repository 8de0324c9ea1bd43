"""A workspace with a file of every kind, each made by the code that makes it for people; no media tools, no network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from avis_data.annotation.labels.kept_repairs import repair_labels
from avis_data.annotation.labels.made_masks import Filling, MadeMask, filling_path, record_made
from avis_data.annotation.labels.records import ClipTask, MaskOrigin, PreLabels, Repair, RepairKind
from avis_data.annotation.labels.store import keep_received, machine_path, write_prelabels, write_pushed
from avis_data.annotation.labels.tables import bring_up_to_date
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.projects import project_key
from avis_data.annotation.labelstudio.settings import (
    Secrets,
    ServerSettings,
    server_dir,
    write_private,
    write_secrets,
    write_settings,
)
from avis_data.annotation.serve.embedding_cache import EmbeddingCache
from avis_data.annotation.work.pulled_tasks import PulledTask, PulledTasks
from avis_data.features.store import bucket, part_name
from avis_data.fingerprints.making import clip_fingerprint
from avis_data.fingerprints.store import Fingerprint, write_fingerprints
from avis_data.io import append_lines, canonical_json, sha256_file, write_json, write_text
from avis_data.ledger import Ledger
from avis_data.manifest import write_manifest
from avis_data.masks.rle import encode
from avis_data.paths import Workspace
from avis_data.pipelines.exports import FORMATS
from avis_data.pipelines.exports.plan import ExportOptions
from avis_data.pipelines.exports.publish import export
from avis_data.pipelines.imports.truth import import_ytvis
from avis_data.pipelines.manifests import write_manifests
from avis_data.pipelines.merge.origins import Origin, origins_path
from avis_data.video_list.signed import write_signed
from support.fake_workspace import FakeClip, FakeTrack, make_workspace
from support.rounds_world import labels, open_round, say, square, track

__all__ = ["CLIPS", "GONE", "full_workspace"]

# The clips of video 0 and of the one that goes share a part of each table.
CLIPS = {"zebra-video-0": "zebra-clip-59", "zebra-video-1": "zebra-clip-1", "zebra-video-10": "zebra-clip-10"}
"""Video id to clip id; the name of one is the beginning of another's."""
GONE = "zebra-video-1"
_NOWHERE = "http://127.0.0.1:9"
"""A server that does not answer."""

_SECONDS = 6


def full_workspace(root: Path) -> Workspace:
    """Three videos with one clip each, of which all that there can be is there."""
    clips = [
        FakeClip(
            clip_id=clip_id, video_id=video_id, num_seconds=_SECONDS, tracks=(FakeTrack(track_id="t1"),), stereo=True
        )
        for video_id, clip_id in CLIPS.items()
    ]
    workspace = make_workspace(root, clips)
    _sources_and_lists(workspace)
    _truth(workspace)
    _exports(workspace)
    _rounds(workspace)
    _server(workspace)
    return workspace


def _sources_and_lists(workspace: Workspace) -> None:
    workspace.source_dir().mkdir()
    rows = ["url,video_id,start,end,categories,license,split"]
    splits = ["clip_id,split"]
    for video_id, clip_id in CLIPS.items():
        (workspace.source_dir() / f"{video_id}.mp4").write_bytes(f"the film of {video_id}".encode() * 50)
        folder = workspace.clip_dir(clip_id)
        (folder / "preview.mp4").write_bytes(f"small film of {video_id}".encode())
        write_json(folder / "times.json", {"clip_id": clip_id, "video_id": video_id})
        rows.append(f"https://example.org/{video_id}.mp4,{video_id},,,dog,cc-by-4.0,")
        splits.append(f"{clip_id},train")
        for stage in ("fetch", "extract"):
            folder = workspace.tmp / stage / (video_id if stage == "fetch" else clip_id) / "scratch"
            folder.mkdir(parents=True)
            (folder / f"{video_id}.part").write_bytes(b"half")
    workspace.video_list.write_text("\n".join(rows) + "\n")
    addresses = {f"https://example.org/{video_id}.mp4": f"https://example.org/{video_id}.mp4?k=1" for video_id in CLIPS}
    write_signed(workspace.signed_urls, addresses)
    parts: dict[str, list[Fingerprint]] = {}
    for clip_id in CLIPS.values():
        stills, sound = [workspace.frame(clip_id, 0)], workspace.clip_dir(clip_id) / "audio.wav"
        parts.setdefault(bucket(clip_id), []).append(clip_fingerprint(clip_id, stills, sound, fps=1.0))
    for name, prints in parts.items():
        write_fingerprints(workspace.fingerprints / part_name(name), sorted(prints, key=lambda found: found.clip_id))
    (workspace.root / "splits.csv").write_text("\n".join(splits) + "\n")
    write_json(workspace.root / "splits.json", {clip_id: "train" for clip_id in CLIPS.values()})


def _truth(workspace: Workspace) -> None:
    """An imported file, kept as received."""
    videos = [
        {
            "id": number,
            "width": 48,
            "height": 32,
            "length": _SECONDS,
            "file_names": [f"{clip_id}/{second}.jpg" for second in range(_SECONDS)],
        }
        for number, clip_id in enumerate(CLIPS.values(), start=1)
    ]
    box = [[4, 4, 20, 4, 20, 20, 4, 20]]
    annotations = [
        {
            "id": number,
            "video_id": number,
            "category_id": 1,
            "iscrowd": 0,
            "segmentations": [box, *[None] * (_SECONDS - 1)],
            "bboxes": [[4, 4, 16, 16], *[None] * (_SECONDS - 1)],
            "areas": [256, *[None] * (_SECONDS - 1)],
        }
        for number in range(1, len(CLIPS) + 1)
    ]
    path = workspace.root.parent / f"{workspace.root.name}-truth.json"
    categories = [{"id": 1, "name": "dog"}]
    path.write_text(json.dumps({"videos": videos, "annotations": annotations, "categories": categories}))
    was = {"workspace": "lab", "state_sha256": "0" * 64, "merged_on": "2026-01-01", "merged_by": "me"}
    origins = [
        Origin(clip_id=clip_id, video_id=video_id, was_clip_id=clip_id, was_video_id=video_id, **was)
        for video_id, clip_id in CLIPS.items()
    ]
    write_manifest(origins_path(workspace), origins)
    with Ledger(workspace.ledger) as ledger:
        import_ytvis(workspace, path, ledger=ledger)
        write_manifests(workspace, ledger)


def _exports(workspace: Workspace) -> None:
    export(workspace, FORMATS["ytvis"], ExportOptions(split="1/1/1"))
    torn = workspace.exports / ".part-abc-old"
    torn.mkdir()
    (torn / "half.json").write_text(json.dumps({"clips": list(CLIPS.values())}))
    run = workspace.root / "runs" / "tiny"
    run.mkdir(parents=True)
    (run / "log.jsonl").write_text('{"iteration": 1, "loss": 1.0}\n')


def _rounds(workspace: Workspace) -> None:
    open_round(workspace, "draft", {clip_id: ("ann@example.com",) for clip_id in CLIPS.values()})
    project_key(workspace, "draft", None)
    with PulledTasks(workspace, "draft") as pulled:
        for number, clip_id in enumerate(CLIPS.values(), start=1):
            mask = track("dog_1", {0: square(4, 4)}, [(0, 2)])
            say(workspace, labels(clip_id, "draft", "ann@example.com", [mask]))
            write_pushed(workspace, "draft", ClipTask(clip_id=clip_id, tracks=(mask,)), "ann@example.com")
            keep_received(workspace, "draft", clip_id, number, canonical_json({"id": number, "clip": clip_id}))
            pulled.note(number, PulledTask(1, clip_id, "2026-01-01T00:00:00Z"))
            size = {"fps": 1.0, "num_frames": _SECONDS, "height": 32, "width": 48}
            first = PreLabels(clip_id=clip_id, tracks=(mask,), source="propagate", **size)
            write_prelabels(workspace, first)
            write_text(machine_path(workspace, clip_id), first.model_dump_json() + "\n")
            drawn = encode(np.ones((32, 48), dtype=bool))
            made = MadeMask.of(drawn, identity="dog_1", frame=0, origin=MaskOrigin.CLICKED, engine="x", at="2026-01-01")
            record_made(workspace, clip_id, [made])
            box = {"key": f"{number:032x}", "task_id": number, "owner": "", "identity": "dog_1", "frame": 0}
            more = {"confidence": 0.9, "wanted": (1, 2), "began_at": "2026-01-01T00:00:00+00:00"}
            size = {"height": drawn.height, "width": drawn.width, "counts": drawn.counts}
            filling = Filling.model_validate({"clip_id": clip_id, **box, **size, **more})
            write_json(filling_path(workspace, clip_id, filling.key), filling.model_dump(mode="json"))
            copied = Repair(
                number=1, kind=RepairKind.COPY, identities=("dog_1",), first=0, onto=(1,), by="me", at="now"
            )
            repair_labels(WorkspaceLabels(workspace), clip_id, copied)
    bring_up_to_date(workspace, command="avis-data export")


def _server(workspace: Workspace) -> None:
    cache = EmbeddingCache(
        server_dir(workspace) / "embeddings", engine="grabcut", weights_sha256=None, most_bytes=10**9
    )
    for clip_id in CLIPS.values():
        cache.put(sha256_file(workspace.frame(clip_id, 0)), {"a": np.zeros(3, dtype=np.float32)})
        append_lines(server_dir(workspace) / "backend.log", f"GET /predict {clip_id} 200\n")
    (server_dir(workspace) / ".lock").unlink()
    write_settings(workspace, ServerSettings(url=_NOWHERE, clips_folder=str(workspace.root / "clips")))
    write_secrets(workspace, Secrets(token="t" * 40, backend_token="b" * 40))
    write_private(server_dir(workspace) / "backend-token", "b" * 40)
    data = server_dir(workspace) / "data"
    data.mkdir()
    (data / "settings.txt").write_text("of the server")
