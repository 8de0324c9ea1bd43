"""One video file as a dataset of one clip, by the same stages that build datasets."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from avis_data.errors import DataError, ItemError, Reason, ToolError
from avis_data.formats.aviseg_folders import features_path, frame_name, frames_dir, sound_path
from avis_data.formats.ytvis import YtvisDataset, YtvisVideo, frame_times, ytvis_json
from avis_data.io import write_json
from avis_data.media.probe import probe
from avis_data.paths import STEREO_WAV
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.embed import EmbedParams, EmbedRequest, EmbedStage
from avis_data.pipelines.stages.extract import ExtractFacts, ExtractRequest, ExtractStage
from avis_data.recipe import ExtractOptions, front_end_of
from avis_data.records import Category, Span
from avis_data.training.data.audio_features import AudioFeatures
from avis_data.training.data.audio_summary import StereoSummaries
from avis_data.training.data.audio_windows import write_windows
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
    fps: float = 1.0,
) -> None:
    """Write stills, sound and features of a video in the AVISeg layout, without annotations.

    Args:
        video: any file that ffmpeg reads, with a picture.
        root: the folder of the dataset; made if it is missing.
        split: the only split that it gets.
        categories: id -> name.
        audio: which features the model needs; None for a model without audio.
        vggish: weights for VGGish features; None: the registered ones.
        fps: stills a second.

    Raises:
        DataError: if the file is missing or is no video that can be used.
        ToolError: if ffmpeg or the VGGish weights are missing.
    """
    if not video.is_file():
        raise DataError(f"{video}: no such file")
    kind = None if audio is None else audio.kind
    weights = _vggish(vggish) if kind in ("vggish", "vggish-window") else None
    clip_id = re.sub(r"[^A-Za-z0-9_-]", "_", video.stem)[:64] or "video"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            missing_sound = "fail" if audio is not None and not audio.optional else "pad"
            options = ExtractOptions.model_validate({"missing_sound": missing_sound, "fps": fps})
            facts = _extract(video, root, split, clip_id, Path(scratch), options, with_sides=_has_sides(audio))
            if weights is not None and kind == "vggish":
                target = features_path(root, split, clip_id)
                _embed(sound_path(root, split, clip_id), target, _embed_request(clip_id, facts, options), weights)
    except ItemError as error:
        if error.reason in (Reason.NO_AUDIO, Reason.AUDIO_SHORT):
            silence = "-f lavfi -i anullsrc -map 0:v -map 1:a -c:v copy -shortest with_silence.mp4"
            hint = f"to predict with silence: ffmpeg -i {video} {silence}"
            raise DataError(f"{video}: has not sound throughout, and this model hears", hint=hint) from None
        raise DataError(f"{video}: {error.message} ({error.reason})") from None
    _write_truth(root, split, clip_id, facts, categories, options)
    if weights is not None and kind == "vggish-window":
        write_windows(root, weights)


def _vggish(weights: Path | None) -> tuple[Path | None, str]:
    """The file and its hash; the hint names no --untrained, which these commands do not have."""
    try:
        return resolve_vggish(weights, untrained=False)
    except ToolError as error:
        raise ToolError(str(error.args[0]), hint="avis-data weights add FILE (once), or --weights FILE") from None


def _write_truth(
    root: Path, split: str, clip_id: str, facts: ExtractFacts, categories: Mapping[int, str], options: ExtractOptions
) -> None:
    count = facts.num_frames
    entry = YtvisVideo(
        video_id=1,
        name=clip_id,
        width=facts.width,
        height=facts.height,
        length=count,
        file_names=tuple(f"{clip_id}/{frame_name(number)}" for number in range(count)),
        fps=options.fps,
        frame_times=frame_times(count, fps=options.fps, frame_at=options.frame_at),
    )
    named = tuple(Category(id=number, name=name) for number, name in sorted(categories.items()))
    write_json(root / f"{split}.json", ytvis_json(YtvisDataset(videos=(entry,), tracks=(), categories=named)))


def _has_sides(audio: AudioFeatures | None) -> bool:
    """Whether the model hears from where a sound comes."""
    return audio is not None and isinstance(audio.reader, StereoSummaries)


def _extract(
    video: Path, root: Path, split: str, clip_id: str, scratch: Path, options: ExtractOptions, *, with_sides: bool
) -> ExtractFacts:
    out = scratch / "clip"
    out.mkdir()
    request = ExtractRequest(span=Span(clip_id=clip_id, video_id=clip_id), media=probe(video))
    facts = ExtractStage(options).run(
        Workbench(item_id=clip_id, record=request, inputs={"source": video.absolute()}, out=out, scratch=scratch)
    )
    target = frames_dir(root, split, clip_id)
    target.mkdir(parents=True)
    for number in range(facts.num_frames):
        (target / frame_name(number)).write_bytes((out / "frames" / f"{number:05d}.jpg").read_bytes())
    sound = sound_path(root, split, clip_id)
    sound.parent.mkdir(parents=True)
    sides = out / STEREO_WAV
    sound.write_bytes((sides if with_sides and sides.exists() else out / "audio.wav").read_bytes())
    return facts


def _embed_request(clip_id: str, facts: ExtractFacts, options: ExtractOptions) -> EmbedRequest:
    return EmbedRequest(
        clip_id=clip_id,
        num_seconds=facts.num_seconds,
        fps=options.fps,
        num_frames=facts.num_frames,
        frame_at=options.frame_at,
    )


def _embed(wav: Path, target: Path, request: EmbedRequest, weights: tuple[Path | None, str]) -> None:
    path, sha256 = weights
    target.parent.mkdir(parents=True)
    stage = EmbedStage(EmbedParams(weights_sha256=sha256, front_end=front_end_of(request.fps)), path)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Workbench(
            item_id=request.clip_id, record=request, inputs={"audio": wav}, out=Path(scratch), scratch=Path(scratch)
        )
        stage.run(bench)
        np.save(target, np.load(Path(scratch) / f"{request.clip_id}.npy", allow_pickle=False), allow_pickle=False)
