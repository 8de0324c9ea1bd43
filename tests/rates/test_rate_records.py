"""At one still a second nothing that is written or hashed knows of rates: work done before stays done."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from avis_data.errors import ProblemsError
from avis_data.paths import Workspace
from avis_data.pipelines.engine.stage import stage_key
from avis_data.pipelines.stages.adopt import AdoptRequest
from avis_data.pipelines.stages.embed import EmbedRequest, EmbedStillsRequest
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


def test_the_key_of_the_stage_is_the_one_before_there_were_rates() -> None:
    params = {"frame_at": "mid", "jpeg_quality": 2, "missing_sound": "fail", "corrupt_media": "fail"}
    text = json.dumps(["extract", 1, params], sort_keys=True, separators=(",", ":"))
    assert stage_key(ExtractStage(ExtractOptions())) == hashlib.sha256(text.encode()).hexdigest()
    assert stage_key(ExtractStage(ExtractOptions(fps=6))) != stage_key(ExtractStage(ExtractOptions()))


def test_a_clip_of_the_usual_rate_is_written_as_before() -> None:
    clip = Clip.model_validate(CLIP)
    assert (clip.fps, clip.num_frames) == (1.0, 4)
    assert clip.model_dump_json() == json.dumps(CLIP, separators=(",", ":"))
    assert Clip.model_validate_json(clip.model_dump_json()) == clip


def test_a_clip_of_another_rate_says_it() -> None:
    clip = Clip.model_validate(CLIP | {"fps": 6.0, "num_frames": 22})
    written = json.loads(clip.model_dump_json())
    assert (written["num_seconds"], written["fps"], written["num_frames"]) == (4, 6.0, 22)
    assert Clip.model_validate(written) == clip


def test_requests_of_the_usual_rate_are_hashed_as_before() -> None:
    embed = EmbedRequest(clip_id="c", num_seconds=4)
    assert embed.model_dump_json() == '{"clip_id":"c","num_seconds":4}'
    adopt = AdoptRequest(clip_id="c", name="c", width=2, height=3, stills=("0.jpg",))
    assert adopt.model_dump_json() == '{"clip_id":"c","name":"c","width":2,"height":3,"stills":["0.jpg"]}'
    by_still = EmbedStillsRequest(clip_id="c", num_seconds=4, fps=6, num_frames=22, frame_at="mid")
    assert json.loads(by_still.model_dump_json())["num_frames"] == 22


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
