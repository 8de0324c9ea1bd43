"""Clips of the synthetic world without one of their sources, and what its scenes say that a truth file does not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from avis_data.errors import AvisError
from avis_data.records import State
from avis_data.stress.making import make_dataset, opened_for
from avis_data.stress.plan import Given, StressPlan, make_plan
from avis_data.stress.waves import read_wave
from avis_data.synth.labels import SceneLabels, label_scene
from avis_data.synth.picture import Painter
from avis_data.synth.plan import plan_scene
from avis_data.synth.scene import WorldOptions
from avis_data.synth.sound import mix, stems
from avis_data.synth.timbres import RATE_HZ
from support.ytvis_world import annotation

OPTIONS = WorldOptions(seed=4, num_seconds=4, width=64, height=64, fps=4)
NUM_CLIPS = 6
RATE = 16_000


@dataclass(frozen=True)
class Synthetic:
    """A dataset of the world, without videos: sound as it is mixed, in stereo."""

    data: Path
    scenes: Path
    labels: dict[str, SceneLabels]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Synthetic:
    root = tmp_path_factory.mktemp("muted")
    labels: dict[str, SceneLabels] = {}
    videos, annotations = [], []
    for index in range(NUM_CLIPS):
        scene = plan_scene(OPTIONS, index)
        found = label_scene(scene, Painter(scene))
        labels[found.clip_id] = found
        files = [f"{found.clip_id}/{second}.jpg" for second in range(4)]
        videos.append({"id": index + 1, "width": 64, "height": 64, "length": 4, "file_names": files})
        for track in found.tracks:
            boxes = [(1, 2, 5, 6) if state is State.SOUNDING else None for state in track.states]
            if any(boxes):
                entry = annotation(len(annotations) + 1, index + 1, 1, list(boxes))
                annotations.append({**entry, "height": 64, "width": 64})
        sound = root / "data" / "test" / "WAVAudios" / f"{found.clip_id}.wav"
        sound.parent.mkdir(parents=True, exist_ok=True)
        first = round(scene.lead_s * RATE_HZ)
        samples = mix(scene, stems(scene))[first : first + 4 * RATE_HZ]
        soundfile.write(sound, soxr.resample(samples, RATE_HZ, RATE), RATE, subtype="PCM_16")
    truth = {"info": {}, "categories": [{"id": 1, "name": "thing"}], "videos": videos, "annotations": annotations}
    (root / "data" / "test.json").write_text(json.dumps(truth))
    said = {
        "world": {**OPTIONS.as_dict(), "num_clips": NUM_CLIPS, "version": 1},
        "scenes": [scene.model_dump(mode="json") for scene in labels.values()],
    }
    (root / "scenes.json").write_text(json.dumps(said))
    return Synthetic(data=root / "data", scenes=root / "scenes.json", labels=labels)


@pytest.fixture(scope="module")
def plan(world: Synthetic) -> StressPlan:
    return make_plan(
        Given(data=world.data, scenes=world.scenes), conditions=["muted", "other-category", "shift-1s", "snr-0db"]
    )


def level_db(samples_NC: np.ndarray, second: int) -> float:
    part = samples_NC[second * RATE + RATE // 10 : (second + 1) * RATE - RATE // 10]
    return float(10 * np.log10(np.mean(part**2) + 1e-12))


def test_the_muted_source_is_gone_and_the_others_are_not(world: Synthetic, plan: StressPlan) -> None:
    opened = opened_for(plan, Given(data=world.data, scenes=world.scenes))
    alone = others = 0
    for name, planned in plan.by_name["muted"].clips.items():
        assert planned.muted is not None
        own, left = opened.wave(name).samples_NC, opened.wave_without(name, planned.muted).samples_NC
        spans = {track.track_id: track.sounds for track in world.labels[name].tracks}
        for second in range(4):
            sounding = {track for track, times in spans.items() if any(a < second + 1 and b > second for a, b in times)}
            if sounding == {planned.muted}:
                alone += 1
                assert level_db(left, second) < -50 < level_db(own, second), "what is left is the room"
            elif planned.muted not in sounding and sounding:
                others += 1
                assert level_db(left, second) == pytest.approx(level_db(own, second), abs=0.01)
    assert alone and others


def test_frames_are_silent_where_no_other_source_is_heard_and_seen(world: Synthetic, plan: StressPlan) -> None:
    muted = plan.by_name["muted"]
    assert muted.clips and set(muted.clips) | set(muted.left_out) == set(world.labels)
    for name, planned in muted.clips.items():
        rest = [track for track in world.labels[name].tracks if track.track_id != planned.muted]
        wanted = [t for t in range(4) if not any(track.states[t] is State.SOUNDING for track in rest)]
        assert planned.no_sound_frames == wanted
        assert any(track.track_id == planned.muted for track in world.labels[name].tracks)


def test_scenes_tell_what_is_silent_or_hidden(world: Synthetic, plan: StressPlan) -> None:
    """A donor has nothing of what is only seen; late sound counts where it was heard and could not be seen."""
    for name, planned in plan.by_name["other-category"].clips.items():
        there = {track.category for track in world.labels[name].tracks}
        donor = [track for track in world.labels[planned.donor or ""].tracks if any(track.heard)]
        assert donor and not there & {track.category for track in donor}
    for name, planned in plan.by_name["shift-1s"].clips.items():
        tracks = world.labels[name].tracks
        wanted = [0] + [
            t
            for t in range(1, 4)
            if not any(track.heard[t - 1] and track.states[t] is not State.HIDDEN for track in tracks)
        ]
        assert planned.no_sound_frames == wanted


def test_a_plan_with_scenes_needs_the_same_scenes(world: Synthetic, plan: StressPlan, tmp_path: Path) -> None:
    said = json.loads(world.scenes.read_text())
    other, few, no_world = tmp_path / "other.json", tmp_path / "few.json", tmp_path / "no_world.json"
    other.write_text(json.dumps(said) + "\n")
    few.write_text(json.dumps({**said, "scenes": said["scenes"][1:], "world": {**said["world"], "num_clips": 5}}))
    turned, endless = tmp_path / "turned.json", tmp_path / "endless.json"
    turned.write_text(json.dumps({**said, "scenes": said["scenes"][::-1]}))
    endless.write_text(json.dumps({**said, "world": {**said["world"], "num_seconds": 10**9}}))
    no_world.write_text(json.dumps({"scenes": said["scenes"]}))
    for scenes, why in ((None, "made with a scenes.json"), (other, "is not that of the plan")):
        with pytest.raises(AvisError, match=why):
            opened_for(plan, Given(data=world.data, scenes=scenes))
    for scenes, why in (
        (few, "is no scene of this world"),
        (no_world, "world"),
        (tmp_path / "none", "no such file"),
        (turned, "is not what this version makes"),
        (endless, "seconds"),
    ):
        with pytest.raises(AvisError, match=why):
            make_plan(Given(data=world.data, scenes=scenes), conditions=["muted"])


def test_what_is_written_is_what_the_plan_says(world: Synthetic, plan: StressPlan, tmp_path: Path) -> None:
    for file in (video for clip in world.labels for video in (f"{clip}/{second}.jpg" for second in range(4))):
        still = world.data / "test" / "JPEGImages" / file
        still.parent.mkdir(parents=True, exist_ok=True)
        still.write_bytes(b"a still")
    condition = plan.by_name["muted"]
    opened = opened_for(plan, Given(data=world.data, scenes=world.scenes))
    make_dataset(tmp_path / "muted", condition, plan, opened)
    for name, planned in condition.clips.items():
        found = read_wave(tmp_path / "muted" / "test" / "WAVAudios" / f"{name}.wav").samples_NC
        wanted = opened.wave_without(name, planned.muted or "").samples_NC
        assert np.abs(found - wanted).max() <= 0.5 / 32768 + 1e-9
