"""One item through the fetch stage, as a worker would take it."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from avis_data.errors import ItemError
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.fetch import DownloadRequest, FetchStage
from avis_data.recipe import FetchOptions
from avis_data.records import Video

__all__ = ["bench_of", "failure", "fetch", "stage_of"]


def bench_of(folder: Path, url: str, video_id: str = "vid") -> Workbench:
    """A bench with an empty `out`; `scratch` is kept from one try to the next."""
    out, scratch = folder / "out", folder / "scratch"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    scratch.mkdir(exist_ok=True)
    record = DownloadRequest(video_id=video_id, url=url)
    return Workbench(item_id=video_id, record=record, inputs={}, out=out, scratch=scratch)


def _today() -> date:
    return date(2026, 2, 3)


def stage_of(
    *, cookies: Path | None = None, allow_private_hosts: bool = True, sleep_s: float = 0, **options: Any
) -> FetchStage:
    """The stage as tests need it: their servers are on this machine."""
    return FetchStage(
        FetchOptions(sleep_s=sleep_s, **options),
        cookies=cookies,
        allow_private_hosts=allow_private_hosts,
        today=_today,
    )


def fetch(folder: Path, url: str, *, video_id: str = "vid", **options: Any) -> tuple[Path, Video]:
    """Fetch into `folder/out`: the file that arrived and its facts. Nothing may be left in `scratch`."""
    stage = stage_of(**options)
    bench = bench_of(folder, url, video_id)
    video = stage.run(bench)
    (file,) = bench.out.iterdir()
    assert video.path == f"sources/{file.name}"
    assert list(bench.scratch.iterdir()) == []
    return file, video


def failure(folder: Path, url: str, **options: Any) -> ItemError:
    """Fetch what cannot be fetched: the error. Nothing may be left in `out`."""
    with pytest.raises(ItemError) as caught:
        fetch(folder, url, **options)
    assert list((folder / "out").iterdir()) == []
    return caught.value
