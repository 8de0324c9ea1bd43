"""The rate of the stills is always written, one still a second like any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from avis_data.errors import ProblemsError
from avis_data.paths import Workspace
from avis_data.pipelines.engine.stage import stage_key
from avis_data.pipelines.stages.adopt import AdoptRequest
from avis_data.pipelines.stages.embed import EmbedRequest
from avis_data.pipelines.stages.extract import ExtractStage
from avis_data.recipe import ExtractOptions, load_recipe, parse_shipped_recipe, shipped_recipe
from avis_data.records import Clip

CLIP = {
    "clip_id": "c",
    "video_id": "v",
    "start_s": 1.5,
    "num_seconds": 4,
    "width": 64,
    "height": 48,
    "frame_at": "mid",
    "sound": "complete",
    "frames_sha256": "0" * 64,
    "audio_sha256": "1" * 64,
    "categories": [],
    "license": None,
    "split": None,
}


@pytest.mark.parametrize(("fps", "num_frames"), [(1.0, 4), (6.0, 22)])
def test_a_clip_says_its_rate_whatever_it_is(fps: float, num_frames: int) -> None:
    clip = Clip.model_validate(CLIP | {"fps": fps, "num_frames": num_frames})
    written = json.loads(clip.model_dump_json())
    assert (written["num_seconds"], written["fps"], written["num_frames"]) == (4, fps, num_frames)
    assert Clip.model_validate(written) == clip


@pytest.mark.parametrize("missing", ["fps", "num_frames"])
def test_a_clip_without_its_rate_is_refused(missing: str) -> None:
    whole = CLIP | {"fps": 1.0, "num_frames": 4}
    with pytest.raises(ValidationError, match=missing):
        Clip.model_validate({name: value for name, value in whole.items() if name != missing})


def test_what_is_hashed_knows_the_rate() -> None:
    assert stage_key(ExtractStage(ExtractOptions(fps=6))) != stage_key(ExtractStage(ExtractOptions()))
    embed = EmbedRequest(clip_id="c", num_seconds=4, fps=1, num_frames=4, frame_at="mid")
    assert json.loads(embed.model_dump_json())["fps"] == 1
    adopt = AdoptRequest(clip_id="c", name="c", width=2, height=3, stills=("0.jpg",), fps=1)
    assert json.loads(adopt.model_dump_json())["fps"] == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("extract:\n", "extract:\n  fps: 6\n", "goes with embed.front_end: causal"),
        ("extract:\n", "embed:\n  front_end: causal\nextract:\n", "goes with embed.front_end: official"),
        ("extract:\n", "extract:\n  fps: 0\n", "greater than 0"),
        ("extract:\n", "extract:\n  fps: 31\n", "less than or equal to 30"),
        ("extract:\n", "truth: heard\nextract:\n", "'sounding' or 'visible'"),
    ],
)
def test_a_recipe_that_cannot_be(tmp_path: Path, old: str, new: str, words: str) -> None:
    Workspace(tmp_path).recipe.write_text(shipped_recipe("aviseg").replace(old, new))
    with pytest.raises(ProblemsError, match=words):
        load_recipe(Workspace(tmp_path))


def test_avis_20_is_six_a_second_of_all_that_is_seen() -> None:
    recipe = parse_shipped_recipe("avis-20")
    assert (recipe.extract.fps, recipe.truth, recipe.split) == (6.0, "visible", "75/25")
