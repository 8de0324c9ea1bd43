"""A short way to run the stage `extract` on one file, and the ffmpeg programs of this machine."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from avis_data.media.probe import probe
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.extract import ExtractRequest, ExtractStage
from avis_data.recipe import ExtractOptions
from avis_data.records import Span, VideoStream

__all__ = ["PROGRAMS", "Extract", "Extracted", "run_extract"]

PROGRAMS: dict[str, str] = {
    name: program
    for name, program in (("system", shutil.which("ffmpeg")), ("wheel", imageio_ffmpeg.get_ffmpeg_exe()))
    if program
}


@dataclass(frozen=True)
class Extracted:
    """What one run of the stage left."""

    folder: Path
    facts: dict[str, Any]
    times: dict[str, Any]
    media: VideoStream

    @property
    def stills(self) -> list[Path]:
        """In order."""
        return sorted((self.folder / "frames").iterdir())


Extract = Callable[..., Extracted]


def run_extract(
    folder: Path, source: Path, start_s: float = 0.0, end_s: float | None = None, **options: Any
) -> Extracted:
    """Probe a file and run the stage on a span of it, in a new folder below `folder`; `options` are its parameters."""
    media = probe(source)
    out = Path(tempfile.mkdtemp(dir=folder))
    span = Span(clip_id="clip", video_id="video", start_s=start_s, end_s=end_s)
    request = ExtractRequest(span=span, media=media)
    bench = Workbench(item_id="clip", record=request, inputs={"source": source}, out=out, scratch=folder)
    facts = ExtractStage(ExtractOptions(**options)).run(bench).model_dump(mode="json")
    left = ["audio.wav", *(["audio_stereo.wav"] if facts["stereo_db"] is not None else []), "frames", "times.json"]
    assert sorted(path.name for path in out.iterdir()) == left
    return Extracted(out, facts, json.loads((out / "times.json").read_text()), media)
