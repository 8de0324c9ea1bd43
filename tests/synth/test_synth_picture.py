"""The pictures, and the maps of what is seen in them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from avis_data.masks.rle import decode
from avis_data.records import State
from avis_data.synth.labels import MIN_VISIBLE_SHARE, label_scene
from avis_data.synth.motion import place
from avis_data.synth.picture import NOTHING, Painter
from avis_data.synth.plan import plan_scene
from avis_data.synth.scene import Scene, Thing, WorldOptions, still_index
from avis_data.synth.sprites import CATEGORIES, PROPS, draw

OPTIONS = WorldOptions(seed=11, num_seconds=6)
HEIGHT, WIDTH = OPTIONS.height, OPTIONS.width
SOLID = {
    "person": (0.0, 0.0),
    "violin": (0.0, 0.62),
    "guitar": (-0.45, 0.45),
    "piano": (0.0, -0.28),
    "trumpet": (-0.5, -0.1),
    "dog": (-0.1, 0.16),
    "cat": (0.0, 0.4),
    "car": (0.0, 0.15),
}
"""A place on each drawing, in its own square [-1, 1], that is well inside the thing in every pose."""


def on_screen(thing: Thing, scene: Scene, picture: int, spot: tuple[float, float]) -> tuple[float, float] | None:
    """Pixel (x, y) of a place on the drawing of a thing: scaled, turned clockwise, moved."""
    where = place(thing, scene.time_of(picture), aspect=WIDTH / HEIGHT)
    if where is None:
        return None
    u, v = (value * where.size / 2 for value in spot)
    x = where.x + u * math.cos(where.turn) - v * math.sin(where.turn)
    y = where.y + u * math.sin(where.turn) + v * math.cos(where.turn)
    return x * HEIGHT, y * HEIGHT


def test_the_solid_part_of_a_thing_is_in_its_mask_unless_something_nearer_may_hide_it() -> None:
    checked = []
    for scene in (plan_scene(OPTIONS, index) for index in range(16)):
        painter = Painter(scene)
        checked += [found for second in range(OPTIONS.num_seconds) for found in solid_parts(scene, painter, second)]
    assert all(right for _, right in checked), checked
    assert len(checked) > 50
    assert {kind for kind, _ in checked} == set(SOLID)


def solid_parts(scene: Scene, painter: Painter, second: int) -> list[tuple[str, bool]]:
    """For each track whose solid part is in the picture and surely not hidden: is the mask there?"""
    picture = still_index(scene, second)
    seen = painter.seen(picture)
    found = []
    for number, thing in enumerate(scene.tracks):
        spot = on_screen(thing, scene, picture, SOLID[thing.kind])
        if spot is None or not (0 <= spot[0] < WIDTH and 0 <= spot[1] < HEIGHT):
            continue
        nearer = [other for other in scene.things if other.depth < thing.depth and other.motion]
        hulls = [(on_screen(other, scene, picture, (0, 0)), other.motion.size) for other in nearer]  # type: ignore[union-attr]
        if all(math.dist(spot, centre) > 0.85 * size * HEIGHT for centre, size in hulls if centre):
            found.append((thing.kind, bool(seen[int(spot[1]), int(spot[0])] == number)))
    return found


def test_what_is_hidden_by_a_nearer_thing_is_not_in_the_mask() -> None:
    overlaps = 0
    for index in (2, 5, 7):
        scene = plan_scene(OPTIONS, index)
        picture = still_index(scene, 3)
        seen = Painter(scene).seen(picture)
        alone = {}
        for thing in scene.things:
            one = replace(scene, things=(replace(thing, is_prop=False),))
            alone[thing.thing_id] = Painter(one).seen(picture) == 0
        for number, thing in enumerate(scene.tracks):
            if thing.motion is None:
                assert not (seen == number).any()
                continue
            nearer = [alone[other.thing_id] for other in scene.things if other.depth < thing.depth and other.motion]
            covered = np.any(nearer, axis=0) if nearer else np.zeros_like(seen, bool)
            np.testing.assert_array_equal(seen == number, alone[thing.thing_id] & ~covered)
            overlaps += int((alone[thing.thing_id] & covered).any())
    assert overlaps >= 2


def test_the_picture_differs_from_the_background_in_the_masks_and_nowhere_away_from_things() -> None:
    for index in (0, 3, 4):
        scene = plan_scene(OPTIONS, index)
        picture = still_index(scene, 2)
        shown = Painter(scene).picture(picture).astype(int)
        empty = Painter(replace(scene, things=())).picture(picture).astype(int)
        changed = np.abs(shown - empty).max(axis=2) > 8
        seen = Painter(replace(scene, things=tuple(replace(thing, is_prop=False) for thing in scene.things))).seen(
            picture
        )
        things = seen != NOTHING
        assert changed[things].mean() > 0.9
        grown = things.copy()
        for shift in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)):
            grown |= np.roll(things, shift, (0, 1))
        # Strings and whiskers are thinner than a pixel: seen, but in no mask.
        assert changed[~grown].mean() < 0.005


def test_labels_say_what_is_seen() -> None:
    scene = plan_scene(OPTIONS, 3)
    painter = Painter(scene)
    labels = label_scene(scene, painter)
    unseen = {
        track.track_id: [t for t, mask in enumerate(track.masks) if mask is None and track.heard[t]]
        for track in labels.tracks
    }
    assert labels.off_screen == {track_id: seconds for track_id, seconds in unseen.items() if seconds} != {}
    for second in range(OPTIONS.num_seconds):
        seen = painter.seen(still_index(scene, second))
        total = np.zeros((HEIGHT, WIDTH), int)
        for number, track in enumerate(labels.tracks):
            mask = labels.mask(track, second)
            if mask is None:
                assert track.states[second] is State.HIDDEN
                assert (seen == number).sum() < MIN_VISIBLE_SHARE * HEIGHT * WIDTH
                continue
            assert track.states[second] is (State.SOUNDING if track.heard[second] else State.SILENT)
            pixels = decode(mask)
            np.testing.assert_array_equal(pixels, seen == number)
            total += pixels
        assert total.max() <= 1


def test_slivers_are_hidden() -> None:
    scene = plan_scene(OPTIONS, 0)
    thing = scene.tracks[0]
    assert thing.motion is not None
    for shift, hidden in ((0.497, True), (0.3, False)):
        still = replace(thing.motion, x=-shift * thing.motion.size, drift_x=(0.0, 1.0), sway=(0.0, 1.0))
        alone = replace(scene, things=(replace(thing, kind="piano", motion=still, sounds=()),), look_alikes=())
        states = label_scene(alone, Painter(alone)).tracks[0].states
        assert all((state is State.HIDDEN) == hidden for state in states)


def test_equal_seeds_give_equal_pictures_and_poses_and_looks_differ() -> None:
    scene = plan_scene(OPTIONS, 1)
    first, second = (Painter(plan_scene(OPTIONS, 1)).picture(40) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (Painter(scene).picture(46) != first).any()


@pytest.mark.parametrize("kind", [*CATEGORIES, *PROPS])
def test_every_drawing_is_solid_and_premultiplied(kind: str) -> None:
    sprite = draw(kind, look=4, pose=0.3, side_px=64).astype(int)
    assert (sprite[..., :3] <= sprite[..., 3:] + 1).all()
    share = (sprite[..., 3] >= 128).mean()
    assert 0.06 < share < 0.85
    assert ((sprite[..., 3] > 0) & (sprite[..., 3] < 255)).any(), "edges are soft"


def test_categories_look_different_and_so_do_two_of_one_category() -> None:
    sprites = {kind: draw(kind, look=4, pose=0.3, side_px=48).astype(float) for kind in CATEGORIES}
    for one in CATEGORIES:
        for other in CATEGORIES:
            if one < other:
                assert np.abs(sprites[one] - sprites[other]).mean() > 15, (one, other)
        assert np.abs(draw(one, look=4, pose=1.0, side_px=48) - sprites[one]).mean() > 0.3, f"{one} does not move"
