"""The plans of clips: what is said to sound is clear, and every difficulty is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avis_data.categories import category_set
from avis_data.synth.motion import place
from avis_data.synth.plan import SCENARIOS, plan_scene
from avis_data.synth.scene import Scene, Thing, WorldOptions, heard_seconds, still_index
from avis_data.synth.sprites import CATEGORIES

ASPECT = 320 / 180


def scenes(scenario: str | None = None, *, count: int = 64, seed: int = 5, seconds: int = 10) -> list[Scene]:
    options = WorldOptions(seed=seed, num_seconds=seconds)
    found = [plan_scene(options, index) for index in range(count)]
    return [scene for scene in found if scenario in (None, scene.scenario)]


def sampled_share(thing: Thing, second: int) -> float:
    """How much of a second is filled by sound, counted at 10,000 instants."""
    instants = second + (np.arange(10_000) + 0.5) / 10_000
    on = np.zeros(len(instants), bool)
    for start, end in thing.sounds:
        on |= (instants >= start) & (instants < end)
    return float(on.mean())


@pytest.mark.parametrize("seconds", [1, 2, 7, 12])
def test_each_second_is_clearly_heard_or_clearly_not(seconds: int) -> None:
    for scene in scenes(count=40, seconds=seconds):
        for thing in scene.tracks:
            heard = heard_seconds(thing, seconds)
            for second in range(seconds):
                share = sampled_share(thing, second)
                assert share >= 0.6 if heard[second] else share <= 0.2, (scene.video_id, thing.thing_id, second)


def test_onsets_are_not_at_whole_seconds() -> None:
    onsets = [start for scene in scenes() for thing in scene.tracks for start, _ in thing.sounds if start > 0]
    assert np.mean([abs(onset - round(onset)) > 0.01 for onset in onsets]) > 0.8


def test_categories_are_of_the_set_and_all_are_used() -> None:
    names = {category.name for category in category_set("aviseg-26").categories}
    used = {thing.kind for scene in scenes() for thing in scene.tracks}
    assert used == set(CATEGORIES)
    assert len(used) >= 6
    assert used <= names


def test_up_to_four_sources_sound_at_once() -> None:
    most = {
        max(sum(column) for column in zip(*(heard_seconds(thing, 10) for thing in scene.tracks), strict=True))
        for scene in scenes()
    }
    assert {1, 2, 3, 4} <= most
    assert max(most) == 4
    for scene in scenes("quartet"):
        together = zip(*(heard_seconds(thing, 10) for thing in scene.tracks), strict=True)
        assert any(sum(column) == 4 for column in together)


def test_of_look_alikes_exactly_one_sounds_and_it_differs_in_size() -> None:
    found = [scene for scene in scenes() if scene.look_alikes]
    assert {scene.scenario for scene in found} >= {"look_alikes"}
    for scene in found:
        tracks = {thing.thing_id: thing for thing in scene.tracks}
        for sounding, silent in scene.look_alikes:
            assert tracks[sounding].kind == tracks[silent].kind
            assert any(heard_seconds(tracks[sounding], 10))
            assert tracks[silent].sounds == ()
            sizes = sorted(tracks[name].motion.size for name in (sounding, silent))  # type: ignore[union-attr]
            assert sizes[1] / sizes[0] > 1.3


def test_small_things_are_tuned_higher() -> None:
    seen = [thing for scene in scenes() for thing in scene.tracks if thing.motion]
    by_size = sorted(seen, key=lambda thing: thing.motion.size)  # type: ignore[union-attr]
    registers = [thing.register for thing in by_size]
    assert registers == sorted(registers, reverse=True)


def test_an_off_screen_sound_is_of_a_category_that_is_not_in_view() -> None:
    for scene in scenes("off_screen"):
        (hidden,) = [thing for thing in scene.tracks if thing.motion is None]
        assert any(heard_seconds(hidden, 10))
        assert hidden.kind not in {thing.kind for thing in scene.things if thing.motion}
        assert place(hidden, 3.0, aspect=ASPECT) is None


def test_a_hush_has_seconds_without_any_sound() -> None:
    for scene in scenes("hush"):
        heard = np.array([heard_seconds(thing, 10) for thing in scene.tracks])
        assert (~heard.any(axis=0)).sum() >= 2
        assert heard.any()


def test_things_enter_and_leave() -> None:
    for scene in scenes("enter_leave"):
        views = []
        for thing in scene.tracks[:2]:
            spots = [place(thing, second + 0.5, aspect=ASPECT) for second in range(10)]
            views.append([-spot.size / 2 < spot.x < ASPECT + spot.size / 2 for spot in spots if spot])
        late, early = views
        assert late[-1] or scene.tracks[0].motion.leaves_s is not None  # type: ignore[union-attr]
        assert early[0]
    gone_at_end = [
        place(scene.tracks[1], 14.0, aspect=ASPECT).x
        for scene in scenes("enter_leave")  # type: ignore[union-attr]
    ]
    assert all(x < 0 or x > ASPECT for x in gone_at_end)


def test_what_sounds_moves_its_parts_faster_than_what_is_silent() -> None:
    (scene, *_) = scenes("silent_movers")
    loud = replace(scene.tracks[0], sounds=((0.0, 10.0),))
    quiet = replace(loud, sounds=())
    travel = {}
    for name, thing in (("loud", loud), ("quiet", quiet)):
        poses = [place(thing, 1 + k / 25, aspect=ASPECT).pose for k in range(200)]  # type: ignore[union-attr]
        travel[name] = np.abs(np.diff(poses)).sum()
    assert travel["loud"] > 4 * travel["quiet"] > 0


def test_poses_at_the_stills_do_not_tell_what_sounds() -> None:
    poses: dict[bool, list[float]] = {True: [], False: []}
    for scene in scenes(count=200):
        for thing in scene.tracks:
            for second, heard in enumerate(heard_seconds(thing, 10)):
                spot = place(thing, second + 0.48, aspect=ASPECT)
                if spot:
                    poses[heard].append(spot.pose)
    deciles = [np.quantile(poses[heard], np.linspace(0.1, 0.9, 9)) for heard in (True, False)]
    assert np.abs(deciles[0] - deciles[1]).max() < 0.06


def test_a_clip_depends_on_seed_and_number_only() -> None:
    options = WorldOptions(seed=3)
    assert plan_scene(options, 6) == plan_scene(WorldOptions(seed=3), 6)
    assert plan_scene(options, 6) != plan_scene(options, 14)
    assert plan_scene(options, 6) != plan_scene(WorldOptions(seed=4), 6)
    assert [plan_scene(options, index).scenario for index in range(8)] == list(SCENARIOS)


@pytest.mark.parametrize(("fps", "expected"), [(25, 12), (24, 11), (30, 14), (10, 4), (15, 7)])
def test_the_still_is_the_last_picture_before_the_middle(fps: int, expected: int) -> None:
    scene = plan_scene(WorldOptions(fps=fps), 0)
    assert still_index(scene, 0) == expected
    assert expected / fps < 0.5 <= (expected + 1) / fps
    inside = plan_scene(WorldOptions(fps=fps), 3)
    index = still_index(inside, 4)
    middle_ms = round(inside.lead_s * 1000) + 4500
    assert index * 1000 < middle_ms * fps <= (index + 1) * 1000


@pytest.mark.parametrize("fps", [7, 24, 25, 30, 60])
def test_a_span_inside_a_longer_file_is_whole_in_pictures_and_in_milliseconds(fps: int) -> None:
    for scene in (plan_scene(WorldOptions(fps=fps, seed=seed), 3) for seed in range(8)):
        for extra_s in (scene.lead_s, scene.tail_s):
            assert extra_s > 0
            assert (extra_s * fps) == pytest.approx(round(extra_s * fps), abs=1e-9)
            assert (extra_s * 1000) == pytest.approx(round(extra_s * 1000), abs=1e-9)
