"""A small synthetic world with its stills, and a workspace around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from avis_data.media.probe import probe
from avis_data.paths import Workspace
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.extract import ExtractRequest, ExtractStage
from avis_data.recipe import ExtractOptions
from avis_data.synth.scene import WorldOptions
from avis_data.synth.world import make_world
from avis_data.video_list.reading import read_video_list

if TYPE_CHECKING:
    from support.label_studio import TestServer
    from support.review_team import Team


@pytest.fixture(scope="session")
def labelled_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`truth.json`, and `stills/<clip>/00000.jpg` taken out by the pipeline's own stage; 480 x 270, 3 seconds."""
    root = tmp_path_factory.mktemp("sam-world")
    make_world(WorldOptions(seed=7, num_seconds=3, width=480, height=270, fps=8), root, num_clips=9)
    for row in read_video_list(root / "videos.csv", allow_local=True).clips:
        name, source = row.span.clip_id, root / "media" / f"{row.span.video_id}.mp4"
        out = root / "work" / name
        (out / "scratch").mkdir(parents=True)
        request = ExtractRequest(span=row.span, media=probe(source))
        bench = Workbench(item_id=name, record=request, inputs={"source": source}, out=out, scratch=out / "scratch")
        ExtractStage(ExtractOptions()).run(bench)
        (root / "stills").mkdir(exist_ok=True)
        (out / "frames").rename(root / "stills" / name)
    return root


@pytest.fixture
def workspace(labelled_world: Path, tmp_path: Path) -> Workspace:
    """The stills as clips of a workspace."""
    for folder in (labelled_world / "stills").iterdir():
        clip = tmp_path / "ds" / "clips" / folder.name
        clip.mkdir(parents=True)
        (clip / "frames").mkdir()
        for still in folder.iterdir():
            (clip / "frames" / still.name).write_bytes(still.read_bytes())
    return Workspace(tmp_path / "ds")


@pytest.fixture
def make_team(label_studio: TestServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Team]:
    """Makes a workspace of the given clips on the server, with three people, and goes there."""
    from support.review_team import new_team

    def make(*clip_ids: str) -> Team:
        team = new_team(label_studio, *clip_ids)
        monkeypatch.chdir(team.workspace.root)
        return team

    return make
