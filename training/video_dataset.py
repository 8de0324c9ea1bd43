"""One video file as a dataset of one clip, by the same stages that build datasets."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from avis_data.errors import DataError, ItemError
from avis_data.formats.ytvis import YtvisDataset, YtvisVideo, ytvis_json
from avis_data.io import write_json
from avis_data.media.probe import probe
from avis_data.pipelines.embed import EmbedParams, EmbedRequest, EmbedStage
from avis_data.pipelines.export_clips import features_path, frame_name, frames_dir, sound_path
from avis_data.pipelines.extract import ExtractRequest, ExtractStage
from avis_data.pipelines.stage import Facts, Task
from avis_data.recipe import ExtractOptions
from avis_data.records import Category, Span
from avis_data.training.audio_features import AudioFeatures
from avis_data.training.audio_windows import write_windows
from avis_data.weights import resolve_vggish

__all__ = ["make_video_dataset"]


def make_video_dataset(
    video: Path,
    root: Path,
    split: str,
    *,
    categories: Mapping[int, str],
    audio: AudioFeatures | None,
    vggish: Path | None,
) -> None:
    """Write stills, sound and features of a video in the AVISeg layout, without annotations.

    Args:
        video: any file that ffmpeg reads, with a picture.
        root: the folder of the dataset; made if it is missing.
        split: the only split that it gets.
        categories: id -> name.
        audio: which features the model needs; None for a model without audio.
        vggish: weights for VGGish features; None: the registered ones.

    Raises:
        DataError: if the file is missing or is no video that can be used.
        ToolError: if ffmpeg or the VGGish weights are missing.
    """
    if not video.is_file():
        raise DataError(f"{video}: no such file")
    kind = None if audio is None else audio.kind
    weights = resolve_vggish(vggish, untrained=False) if kind in ("vggish", "vggish-window") else None
    clip_id = re.sub(r"[^A-Za-z0-9_-]", "_", video.stem)[:64] or "video"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            missing_sound = "fail" if audio is not None and not audio.optional else "pad"
            facts = _extract(video, root, split, clip_id, Path(scratch), missing_sound=missing_sound)
            if weights is not None and kind == "vggish":
                _embed(sound_path(root, split, clip_id), features_path(root, split, clip_id), facts, clip_id, weights)
    except ItemError as error:
        raise DataError(f"{video}: {error.message} ({error.reason})") from None
    _write_truth(root, split, clip_id, facts, categories)
    if weights is not None and kind == "vggish-window":
        write_windows(root, weights)


def _write_truth(root: Path, split: str, clip_id: str, facts: Facts, categories: Mapping[int, str]) -> None:
    seconds = int(facts["num_seconds"])
    entry = YtvisVideo(
        video_id=1,
        name=clip_id,
        width=int(facts["width"]),
        height=int(facts["height"]),
        length=seconds,
        file_names=tuple(f"{clip_id}/{frame_name(second)}" for second in range(seconds)),
    )
    named = tuple(Category(id=number, name=name) for number, name in sorted(categories.items()))
    write_json(root / f"{split}.json", ytvis_json(YtvisDataset(videos=(entry,), tracks=(), categories=named)))


def _extract(video: Path, root: Path, split: str, clip_id: str, scratch: Path, *, missing_sound: str) -> Facts:
    out = scratch / "clip"
    out.mkdir()
    request = ExtractRequest(span=Span(clip_id=clip_id, video_id=clip_id), media=probe(video))
    options = ExtractOptions.model_validate({"missing_sound": missing_sound})
    facts = ExtractStage(options).run(
        Task(item_id=clip_id, record=request, inputs={"source": video.absolute()}, out=out, scratch=scratch)
    )
    target = frames_dir(root, split, clip_id)
    target.mkdir(parents=True)
    for second in range(int(facts["num_seconds"])):
        (target / frame_name(second)).write_bytes((out / "frames" / f"{second:05d}.jpg").read_bytes())
    sound = sound_path(root, split, clip_id)
    sound.parent.mkdir(parents=True)
    sound.write_bytes((out / "audio.wav").read_bytes())
    return facts


def _embed(wav: Path, target: Path, facts: Facts, clip_id: str, weights: tuple[Path | None, str]) -> None:
    path, sha256 = weights
    target.parent.mkdir(parents=True)
    stage = EmbedStage(EmbedParams(weights_sha256=sha256), path)
    with tempfile.TemporaryDirectory() as scratch:
        task = Task(
            item_id=clip_id,
            record=EmbedRequest(clip_id=clip_id, num_seconds=int(facts["num_seconds"])),
            inputs={"audio": wav},
            out=Path(scratch),
            scratch=Path(scratch),
        )
        stage.run(task)
        np.save(target, np.load(Path(scratch) / f"{clip_id}.npy", allow_pickle=False), allow_pickle=False)
