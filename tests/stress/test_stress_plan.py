"""Which clip hears what: chosen by rule and seed, written with hashes, made anew from them bit for bit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from avis_data.errors import AvisError, ConfigError, DataError
from avis_data.formats.ytvis import read_ytvis
from avis_data.stress.clips import HeardClip, World
from avis_data.stress.conditions import CONDITIONS, Changed, Condition
from avis_data.stress.making import Embed, is_made, make_dataset, opened_for
from avis_data.stress.plan import Given, StressPlan, chosen, make_plan, read_plan, write_plan
from avis_data.stress.waves import pcm_of, read_wave, silent, swapped, wave_sha256
from support.stress_world import CLIPS, write_stress_world

HEARD = {name: set(clip.heard) for name, clip in CLIPS.items()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stress_world(tmp_path_factory.mktemp("stress") / "export")


@pytest.fixture(scope="module")
def plan(data: Path) -> StressPlan:
    return make_plan(Given(data=data))


def test_every_clip_is_in_each_condition_or_left_out_with_a_reason(plan: StressPlan) -> None:
    assert [condition.name for condition in plan.conditions] == CONDITIONS.names()
    for condition in plan.conditions:
        assert {*condition.clips, *condition.left_out} == set(CLIPS) and not condition.clips.keys() & condition.left_out
        assert all(condition.left_out.values())


def test_the_same_seed_gives_the_same_plan_and_another_one_other_noise(data: Path, plan: StressPlan) -> None:
    assert make_plan(Given(data=data)) == plan
    few = make_plan(Given(data=data), conditions=["noise-0db", "silence"])
    assert few.by_name == {name: plan.by_name[name] for name in ("noise-0db", "silence")}, "whatever else is asked for"
    other = make_plan(Given(data=data), conditions=["noise-0db"], seed=1)
    hashes = [{clip.sound_sha256 for clip in made.by_name["noise-0db"].clips.values()} for made in (plan, other)]
    assert not hashes[0] & hashes[1] and len(hashes[0]) == len(CLIPS)


@pytest.mark.parametrize("seed", range(12))
def test_donors_are_others_of_the_category_that_is_asked_for(data: Path, seed: int) -> None:
    found = make_plan(Given(data=data), conditions=["other-category", "same-category"], seed=seed).by_name
    for name, clip in found["other-category"].clips.items():
        assert clip.donor is not None and clip.donor != name
        assert HEARD[clip.donor] and not HEARD[clip.donor] & HEARD[name]
    assert set(found["other-category"].left_out) == {"d"}
    donors = {name: clip.donor for name, clip in found["same-category"].clips.items()}
    assert (donors["a"], donors["c"]) == ("c", "a"), "the one with just the same categories"
    assert donors["b"] == "d" and donors["d"] in ("a", "b", "c"), "else the one that shares most"
    assert found["same-category"].left_out == {"e": "nothing sounds in it"}


def test_donors_depend_on_the_seed(data: Path) -> None:
    donors = [
        make_plan(Given(data=data), conditions=["other-category"], seed=seed).by_name["other-category"].clips["e"].donor
        for seed in range(12)
    ]
    assert len(set(donors)) > 1


@pytest.mark.parametrize(
    ("condition", "frames"),
    [
        # a: person in 0, 1; b: dog in 1, 2, 3; c: person in 2 (of three seconds); d: both in 0, dog in 3; e: nothing.
        ("silence", {"a": [0, 1, 2, 3], "c": [0, 1, 2], "e": [0, 1, 2, 3, 4, 5]}),
        ("noise-20db", {"b": [0, 1, 2, 3]}),
        ("other-category", {"a": [0, 1, 2, 3]}),
        ("snr-0db", {"a": [2, 3], "b": [0], "c": [0, 1], "d": [1, 2]}),
        ("shift-1s", {"a": [0, 3], "b": [0, 1], "c": [0, 1, 2], "d": [0, 2, 3]}),
        ("shift-2s", {"a": [0, 1], "d": [0, 1, 3]}),
        ("shift-5s", {"e": [0, 1, 2, 3, 4, 5]}),
        ("swapped", {"a": [2, 3], "d": [1, 2]}),
        # c's sound has three seconds and begins anew in a's fourth; a's has four, c hears three of them.
        ("same-category", {"a": [0, 1, 3], "c": [2], "b": [1, 2]}),
    ],
)
def test_frames_in_which_nothing_sounds_then(plan: StressPlan, condition: str, frames: dict[str, list[int]]) -> None:
    clips = plan.by_name[condition].clips
    assert {name: clips[name].no_sound_frames for name in frames} == frames


def test_what_a_condition_does_not_apply_to(plan: StressPlan) -> None:
    assert set(plan.by_name["shift-5s"].clips) == {"e"}
    assert set(plan.by_name["swapped"].left_out) == {"c"}, "its channels are the same"
    assert set(plan.by_name["muted"].left_out) == set(CLIPS), "nobody said what its sources are"


def test_visible_truth_knows_what_is_silent_and_seen(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "visible")
    truth = json.loads((data / "test.json").read_text())
    person = truth["annotations"][0]  # of a: masks in 0 and 1
    person["sounding"] = [True, False, None, None]
    (tmp_path / "visible" / "test.json").write_text(json.dumps(truth))
    found = make_plan(Given(data=tmp_path / "visible"), conditions=["snr-0db", "shift-1s"]).by_name
    assert found["snr-0db"].clips["a"].no_sound_frames == [1, 2, 3]
    assert found["shift-1s"].clips["a"].no_sound_frames == [0, 2, 3], "heard in 1, where it is seen"


def test_a_plan_reads_back_and_says_what_is_wrong_with_it(plan: StressPlan, tmp_path: Path) -> None:
    path = tmp_path / "stress.json"
    write_plan(path, plan)
    assert read_plan(path) == plan and read_plan(path).sha256 == plan.sha256
    whole = json.loads(path.read_text())
    twice = {**whole, "conditions": [whole["conditions"][0]] * 2}
    named_true = {**whole, "conditions": [{**whole["conditions"][0], "name": "true"}]}
    outside = {**whole, "conditions": [{**whole["conditions"][0], "name": "../silence"}]}
    before = json.loads(json.dumps(whole))
    before["conditions"][0]["clips"]["a"]["no_sound_frames"] = [-1]
    for value, why in (
        (outside, "name"),
        (before, "no_sound_frames"),
        ([], "no plan"),
        ({**whole, "format": 2}, "newer"),
        ({**whole, "extra": 1}, "extra"),
        ({key: value for key, value in whole.items() if key != "seed"}, "seed"),
        (twice, "twice"),
        (named_true, "true"),
    ):
        path.write_text(json.dumps(value))
        with pytest.raises(DataError, match=why):
            read_plan(path)
    with pytest.raises(ConfigError, match="silence"):
        chosen(plan, ["hum"])


@pytest.mark.parametrize("name", ["silence", "shift-1s", "same-category", "swapped", "noise-10db"])
def test_the_dataset_of_a_condition_has_its_sounds_and_the_truth_as_it_was(
    data: Path, plan: StressPlan, tmp_path: Path, name: str
) -> None:
    condition = plan.by_name[name]
    make_dataset(tmp_path / name, condition, plan, opened_for(plan, Given(data=data)))
    made, whole = read_ytvis(tmp_path / name / "test.json"), read_ytvis(data / "test.json")
    assert {video.name for video in made.videos} == set(condition.clips)
    assert {video.video_id: video for video in made.videos}.items() <= {v.video_id: v for v in whole.videos}.items()
    ids = {video.video_id for video in made.videos}
    assert list(made.tracks) == [track for track in whole.tracks if track.video_id in ids]
    for video in made.videos:
        own = read_wave(data / "test" / "WAVAudios" / f"{video.name}.wav")
        found = read_wave(tmp_path / name / "test" / "WAVAudios" / f"{video.name}.wav")
        assert wave_sha256(found) == condition.clips[video.name].sound_sha256
        assert (found.samples_NC.shape, found.rate_hz) == (own.samples_NC.shape, own.rate_hz)
        if name == "shift-1s":
            late = own.rate_hz
            assert (pcm_of(found)[late:] == pcm_of(own)[:-late]).all() and not pcm_of(found)[:late].any()
        for file in video.file_names:
            still = tmp_path / name / "test" / "JPEGImages" / file
            assert still.read_bytes() == (data / "test" / "JPEGImages" / file).read_bytes()


def test_a_killed_making_leaves_nothing_and_goes_on(
    data: Path, plan: StressPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    condition, target, rows = plan.by_name["silence"], tmp_path / "silence", np.zeros((1, 128), np.float32)
    world = opened_for(plan, Given(data=data))
    with monkeypatch.context() as patched:
        patched.setattr("avis_data.stress.making._link_stills", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make_dataset(target, condition, plan, world)
    assert not list(tmp_path.iterdir()) and not is_made(target, condition, plan)
    make_dataset(target, condition, plan, world)
    assert is_made(target, condition, plan)
    one, other = (Embed(weights_sha256=sha256, rows=lambda _, clip: rows) for sha256 in ("a" * 64, "b" * 64))
    assert not is_made(target, condition, plan, embed=one), "embeddings are asked for, and are not there"
    make_dataset(target, condition, plan, world, embed=one)
    assert is_made(target, condition, plan, embed=one)
    assert not is_made(target, condition, plan, embed=other), "they are of another network"
    with pytest.raises(DataError, match="something else"):
        is_made(target, plan.by_name["noise-0db"], plan)


def test_another_dataset_than_the_plans_is_refused(data: Path, plan: StressPlan, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(data, other)
    shutil.copy(data / "test" / "WAVAudios" / "b.wav", other / "test" / "WAVAudios" / "a.wav")
    with pytest.raises(DataError, match="clip a") as told:
        opened_for(plan, Given(data=other))
    assert "clip b" not in str(told.value)
    silence = plan.by_name["silence"]
    stranger = silence.model_copy(update={"clips": {**silence.clips, "z": silence.clips["a"]}})
    with pytest.raises(DataError, match="clip z: is not in the dataset"):
        opened_for(plan.model_copy(update={"conditions": [stranger]}), Given(data=data))
    with pytest.raises(ConfigError, match="without a scenes"):
        opened_for(plan, Given(data=data, scenes=data / "test.json"))
    (other / "test.json").write_text((data / "test.json").read_text() + "\n")
    with pytest.raises(DataError, match="not the truth"):
        opened_for(plan, Given(data=other))


def test_a_sound_that_comes_out_otherwise_is_refused(data: Path, plan: StressPlan, tmp_path: Path) -> None:
    condition = plan.by_name["silence"]
    clip = condition.clips["a"].model_copy(update={"sound_sha256": "0" * 64})
    other = condition.model_copy(update={"clips": {**condition.clips, "a": clip}})
    with pytest.raises(DataError, match="clip a, silence"):
        make_dataset(tmp_path / "silence", other, plan, opened_for(plan, Given(data=data)))
    assert not list(tmp_path.iterdir())


def test_a_condition_is_added_without_a_change_of_the_product(data: Path, tmp_path: Path) -> None:
    def backwards(clip: HeardClip, world: World, _: np.random.Generator) -> Changed:
        wave = world.wave(clip.name)
        turned = swapped(type(wave)(samples_NC=wave.samples_NC[::-1, ::-1].copy(), rate_hz=wave.rate_hz))
        return Changed(wave=turned, may_sound_T=[True] * clip.num_frames)

    added = Condition(name="backwards", says="the sound backwards", counts=False, change=backwards)
    with CONDITIONS.with_added(added):
        plan = make_plan(Given(data=data))
        make_dataset(tmp_path / "it", plan.by_name["backwards"], plan, opened_for(plan, Given(data=data)))
    own, found = (pcm_of(read_wave(root / "test" / "WAVAudios" / "a.wav")) for root in (data, tmp_path / "it"))
    assert (found == own[::-1]).all()


def test_datasets_that_cannot_be_planned_are_told(data: Path, tmp_path: Path) -> None:
    no_sound, withheld, bad = (tmp_path / name for name in ("no_sound", "withheld", "bad"))
    for root in (no_sound, withheld, bad):
        shutil.copytree(data, root)
    (no_sound / "test" / "WAVAudios" / "c.wav").unlink()
    for name in "bc":
        (bad / "test" / "WAVAudios" / f"{name}.wav").write_bytes(b"RIFF")
    truth = json.loads((data / "test.json").read_text())
    del truth["annotations"]
    (withheld / "test.json").write_text(json.dumps(truth))
    for root, why in (
        (tmp_path / "none", "test.json"),
        (no_sound, "clip c"),
        (withheld, "withheld"),
        (bad, r"2 clip[^!]*b\.wav[^!]*c\.wav"),
    ):
        with pytest.raises(AvisError, match=why):
            make_plan(Given(data=root), conditions=["silence"])
    with pytest.raises(ConfigError, match="did you mean 'silence'"):
        make_plan(Given(data=data), conditions=["silense"])


def test_silence_of_all_clips_is_one_sound_a_form(plan: StressPlan, data: Path) -> None:
    clips = plan.by_name["silence"].clips
    wave = read_wave(data / "test" / "WAVAudios" / "a.wav")
    assert clips["a"].sound_sha256 == clips["b"].sound_sha256 == wave_sha256(silent(wave))
    assert clips["d"].sound_sha256 != clips["a"].sound_sha256, "it has another rate"
