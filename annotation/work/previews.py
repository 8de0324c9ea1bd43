"""Something to play for every clip that people label: its small copy, or its stills, each for its second."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import ffmpeg

from avis_data.errors import ItemError
from avis_data.io import atomic_path
from avis_data.manifest import read_manifest
from avis_data.media.ffmpeg import find_ffmpeg, run_ffmpeg
from avis_data.paths import Workspace
from avis_data.pipelines.engine.bucket import bring_clip
from avis_data.pipelines.engine.executors.local import LocalExecutors
from avis_data.pipelines.steps import StepRequest, do_steps
from avis_data.recipe import PreviewOptions, load_recipe
from avis_data.records import Clip, Video

__all__ = ["clips_without_video", "has_preview", "make_previews", "preview_from_stills"]

_FILE = "preview.mp4"
_FPS = 10  # players jump to where there is a picture


def make_previews(workspace: Workspace, clips: Mapping[str, Clip], workers: int) -> None:
    """Make what is missing: through the stage, and for clips that have no video from their stills."""
    recipe = load_recipe(workspace)
    without_video = clips_without_video(workspace)
    missing = [name for name in clips if not has_preview(workspace, name)]
    if set(missing) - without_video:
        request = StepRequest(steps=["preview"], executors=lambda _: LocalExecutors(workers=workers))
        for _ in do_steps(workspace, recipe, request, command="avis-data annotate push"):
            pass  # what failed is in the ledger, and has no preview
    for name in missing:
        if name in without_video:
            with suppress(ItemError):  # it is told as a clip without preview
                preview_from_stills(workspace, clips[name], recipe.preview)


def has_preview(workspace: Workspace, clip_id: str) -> bool:
    """Whether there is something to play for a clip."""
    bring_clip(workspace, clip_id, "preview")
    return (workspace.clip_dir(clip_id) / _FILE).is_file()


def clips_without_video(workspace: Workspace) -> set[str]:
    """Ids of the clips that were adopted from an existing set: `avis-data preview` has nothing to make theirs of."""
    adopted = {
        video.video_id for video in read_manifest(workspace.manifest / "videos.jsonl", Video) if video.media is None
    }
    return {
        clip.clip_id for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip) if clip.video_id in adopted
    }


def preview_from_stills(workspace: Workspace, clip: Clip, options: PreviewOptions) -> None:
    """Write the clip's `preview.mp4` from its stills and its sound.

    Raises:
        ItemError: if ffmpeg cannot read them, or the disk is full.
    """
    bring_clip(workspace, clip.clip_id)
    folder = workspace.clip_dir(clip.clip_id).resolve()
    height = min(options.max_height_px, clip.height) // 2 * 2
    with atomic_path(folder / _FILE) as part:
        command = ffmpeg.output(
            ffmpeg.input("frames/%05d.jpg", framerate=1, start_number=0),
            ffmpeg.input("audio.wav"),
            part.name,
            vf=f"fps={_FPS},scale=-2:{height}",
            t=clip.num_seconds,
            pix_fmt="yuv420p",
            preset="veryfast",
            crf=options.crf,
            movflags="+faststart",
            map_metadata=-1,
            **{"c:v": "libx264", "c:a": "aac", "b:a": "96k"},
        )
        program = find_ffmpeg().program
        timeout_s = 60.0 + 10.0 * clip.num_seconds
        run_ffmpeg(command.compile(cmd=program, overwrite_output=True), cwd=folder, timeout_s=timeout_s, source=_FILE)
