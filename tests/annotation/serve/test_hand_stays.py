"""What a hand set in a mask stays in every later answer, and no answer reaches a mask of another label."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from avis_data.annotation.labels.made_masks import read_made
from avis_data.annotation.labels.records import Interval
from avis_data.annotation.labelstudio.regions import mask_regions, sounding_region
from avis_data.annotation.segmenters.segmenter import Embedding, Found, Prompt
from avis_data.annotation.serve.click_answer import Answerer
from avis_data.annotation.serve.embedding_cache import EmbeddingCache
from avis_data.annotation.serve.page_state import no_drafts
from avis_data.annotation.serve.segmenter_app import create_app
from avis_data.masks.brush_rle import decode_brush
from avis_data.masks.rle import encode
from avis_data.paths import Workspace
from support.filled import ask_until_filled

HEIGHT, WIDTH, SECONDS = 80, 120, 3
Mask = NDArray[np.bool_]


class Wanted:
    """A segmenter that answers what the test says."""

    name, weights_sha256, embeds = "wanted", None, False

    def __init__(self) -> None:
        self.mask = area(10, 10, 40, 40)

    def embed(self, picture_HW3: NDArray[np.uint8]) -> Embedding:
        return {}

    def segment(self, picture_HW3: NDArray[np.uint8], embedding: Embedding, prompt: Prompt) -> Found:
        return Found(mask_HW=self.mask, confidence=0.8)


def area(x0: int, y0: int, x1: int, y1: int) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y0:y1, x0:x1] = True
    return mask


class Page:
    """The page of one task: what it holds, and what answers do to it (a region with a known id is replaced)."""

    def __init__(self, workspace: Workspace, engine: Wanted) -> None:
        cache = EmbeddingCache(workspace.root / "cache", engine="wanted", weights_sha256=None, most_bytes=10**6)
        self._client = TestClient(create_app(Answerer(workspace, engine, cache), no_drafts, token="t"))
        self._client.auth = ("avis-data", "t")
        self.regions: dict[tuple[str, str], Any] = {}
        self.engine = engine

    def draw(self, label: str, second: int, mask: Mask, *, key: str) -> None:
        for region in mask_regions(label, second, encode(mask), key=key):
            self.regions[key, region["type"]] = region

    def hear(self, label: str) -> None:
        region = sounding_region(label, Interval(start_s=0, end_s=SECONDS))
        self.regions[region["id"], region["type"]] = region

    def rename(self, key: str, label: str) -> None:
        self.regions[key, "labels"]["value"]["labels"] = [label]

    def box(self, label: str, second: int, mask: Mask) -> None:
        self.engine.mask = mask
        self._ask(label, second, "rectangle", {"x": 1, "y": 1, "width": 50, "height": 50})

    def point(self, label: str, second: int, x: int, y: int, mask: Mask, *, inside: bool = True) -> None:
        self.engine.mask = mask
        value = {"x": 100 * (x + 0.5) / WIDTH, "y": 100 * (y + 0.5) / HEIGHT, "width": 0.2}
        self._ask(label, second, "keypoint", value, is_positive=inside)

    def _ask(self, label: str, second: int, kind: str, value: dict[str, Any], **more: Any) -> None:
        place = {"id": "click", "item_index": second, "original_width": WIDTH, "original_height": HEIGHT, **more}
        asked = [{**place, "type": name, "value": {**value, "labels": [label]}} for name in (kind, "labels")]
        data = {"clip_id": "clip", "num_seconds": SECONDS, "width": WIDTH, "height": HEIGHT}
        task = {"id": 1, "data": data, "drafts": [{"result": list(self.regions.values())}]}
        answer = self._posted(task, {"result": asked})
        self._show([region for result in answer["results"] for region in result["result"]])
        if answer["results"]:
            task["drafts"] = [{"result": list(self.regions.values())}]
            self._show(ask_until_filled(partial(self._posted, task), answer))

    def _posted(self, task: dict[str, Any], context: dict[str, Any]) -> Any:
        answer = self._client.post("/predict", json={"tasks": [task], "params": {"context": context}})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _show(self, regions: list[dict[str, Any]]) -> None:
        for region in regions:
            self.regions[region["id"], region["type"]] = region

    def mask(self, label: str, second: int) -> Mask:
        """What would be pulled: the union of the label's regions on a still."""
        found = np.zeros((HEIGHT, WIDTH), bool)
        for (key, kind), region in self.regions.items():
            if kind == "labels" and region["value"]["labels"] == [label] and region["item_index"] == second:
                rle = self.regions[key, "brush"]["value"]["rle"]
                found |= decode_brush(rle, height=HEIGHT, width=WIDTH)
        return found

    def keys(self, label: str, second: int) -> list[str]:
        return [
            key
            for (key, kind), region in self.regions.items()
            if kind == "labels" and region["value"]["labels"] == [label] and region["item_index"] == second
        ]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    folder = tmp_path / "clips" / "clip" / "frames"
    folder.mkdir(parents=True)
    for second in range(SECONDS):
        noise = np.random.default_rng(second).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"{second:05d}.jpg")
    return Page(Workspace(tmp_path), Wanted())


def by_hand(page: Page, label: str, *, add: Mask, erase: Mask) -> None:
    (key,) = page.keys(label, 0)
    page.draw(label, 0, (page.mask(label, 0) | add) & ~erase, key=key)


@pytest.mark.parametrize("again", ["box", "point"])
def test_brush_and_eraser_stay_through_any_number_of_answers(page: Page, again: str) -> None:
    page.box("dog_1", 0, area(10, 10, 40, 40))
    brushed, erased = area(45, 10, 60, 30), area(10, 30, 40, 40)
    by_hand(page, "dog_1", add=brushed, erase=erased)
    for larger in (42, 44, 46):
        if again == "box":
            page.box("dog_1", 0, area(10, 5, larger, 40))
            assert page.mask("dog_1", 0)[5, 20], "what the hand did not decide is the segmenter's"
        else:
            page.point("dog_1", 0, 20, 6, area(10, 5, larger, 40))
        found = page.mask("dog_1", 0)
        assert (found & brushed).sum() == brushed.sum() and not (found & erased).any()
    more = area(100, 60, 110, 70)
    by_hand(page, "dog_1", add=more, erase=np.zeros_like(more))
    page.box("dog_1", 0, area(10, 10, 40, 40))
    found = page.mask("dog_1", 0)
    assert (found & (brushed | more)).sum() == (brushed | more).sum() and not (found & erased).any()


def test_a_hand_may_take_back_what_it_set(page: Page) -> None:
    page.box("dog_1", 0, area(10, 10, 40, 40))
    brushed = area(45, 10, 60, 30)
    by_hand(page, "dog_1", add=brushed, erase=area(0, 0, 0, 0))
    page.box("dog_1", 0, area(10, 10, 41, 40))
    by_hand(page, "dog_1", add=area(0, 0, 0, 0), erase=brushed)
    page.box("dog_1", 0, area(10, 10, 60, 40))
    assert not (page.mask("dog_1", 0) & brushed).any()


def test_a_point_changes_only_the_part_that_it_lies_in(page: Page) -> None:
    page.box("dog_1", 0, area(10, 10, 40, 40))
    page.point("dog_1", 0, 80, 20, area(12, 12, 30, 30) | area(75, 10, 90, 30))
    np.testing.assert_array_equal(page.mask("dog_1", 0), area(10, 10, 40, 40) | area(75, 10, 90, 30))
    page.point("dog_1", 0, 80, 20, area(10, 10, 30, 40), inside=False)
    np.testing.assert_array_equal(page.mask("dog_1", 0), area(10, 10, 40, 40))


def test_a_point_beside_the_object_takes_away_what_was_brushed_there(page: Page) -> None:
    page.box("dog_1", 0, area(10, 10, 40, 40))
    brushed = area(40, 10, 60, 40)
    by_hand(page, "dog_1", add=brushed, erase=area(0, 0, 0, 0))
    page.point("dog_1", 0, 50, 25, area(10, 10, 40, 40), inside=False)
    found = page.mask("dog_1", 0)
    assert not found[25, 50] and found[12, 42], "near the point, not all that the hand drew"


@pytest.mark.parametrize("strokes", [1, 2])
def test_points_find_masks_that_a_hand_drew(page: Page, strokes: int) -> None:
    drawn = [area(10, 10, 40, 40), area(50, 10, 60, 40)][:strokes]
    for number, mask in enumerate(drawn):
        page.draw("dog_1", 0, mask, key=f"by-hand-{number}")
    page.point("dog_1", 0, 20, 20, area(10, 10, 25, 40), inside=False)
    found = page.mask("dog_1", 0)
    assert not found[20, 20] and found[39, 39] and len(page.keys("dog_1", 0)) == strokes
    page.point("dog_1", 0, 80, 20, np.logical_or.reduce(drawn) | area(70, 10, 90, 30))
    assert page.mask("dog_1", 0)[20, 80] and len(page.keys("dog_1", 0)) == strokes


def test_the_label_says_who_it_is_and_never_the_id(page: Page) -> None:
    """A mask that was renamed is the other's, whatever its id still says."""
    page.box("dog_1", 0, area(10, 10, 40, 40))
    (key,) = page.keys("dog_1", 0)
    page.rename(key, "dog_2")
    page.box("dog_1", 0, area(60, 10, 90, 40))
    np.testing.assert_array_equal(page.mask("dog_2", 0), area(10, 10, 40, 40))
    np.testing.assert_array_equal(page.mask("dog_1", 0), area(60, 10, 90, 40))
    page.point("dog_2", 0, 20, 50, area(10, 10, 40, 60))
    np.testing.assert_array_equal(page.mask("dog_2", 0), area(10, 10, 40, 60))
    np.testing.assert_array_equal(page.mask("dog_1", 0), area(60, 10, 90, 40))


def test_two_that_swapped_their_labels_keep_their_hand_edits(page: Page) -> None:
    page.box("dog_1", 0, area(10, 10, 40, 40))
    page.box("dog_2", 0, area(60, 10, 90, 40))
    by_hand(page, "dog_1", add=area(40, 10, 50, 20), erase=area(0, 0, 0, 0))
    (one,), (two,) = page.keys("dog_1", 0), page.keys("dog_2", 0)
    page.rename(one, "dog_2")
    page.rename(two, "dog_1")
    page.box("dog_2", 0, area(10, 10, 40, 41))
    np.testing.assert_array_equal(page.mask("dog_2", 0), area(10, 10, 40, 41) | area(40, 10, 50, 20))
    np.testing.assert_array_equal(page.mask("dog_1", 0), area(60, 10, 90, 40))


def test_a_box_over_many_seconds_leaves_what_people_set_on_other_stills(page: Page) -> None:
    page.hear("dog_1")
    page.draw("dog_1", 1, area(0, 0, 30, 30), key="by hand")
    page.box("dog_1", 0, area(10, 10, 40, 40))
    np.testing.assert_array_equal(page.mask("dog_1", 1), area(0, 0, 30, 30))
    assert page.keys("dog_1", 1) == ["by hand"]


def test_a_deleted_mask_leaves_nothing_behind(page: Page) -> None:
    page.box("dog_1", 0, area(10, 10, 40, 40))
    by_hand(page, "dog_1", add=area(45, 10, 60, 30), erase=area(0, 0, 0, 0))
    page.box("dog_1", 0, area(10, 10, 40, 41))
    page.regions.clear()
    page.box("dog_1", 0, area(60, 40, 90, 70))
    np.testing.assert_array_equal(page.mask("dog_1", 0), area(60, 40, 90, 70))


@pytest.mark.parametrize("line", [b"{}\n", b"\xff\xfe\n", b'{"sha256": 3}\n', b"[" * 5000 + b"\n"])
def test_a_damaged_file_of_answers_costs_no_click(page: Page, tmp_path: Path, line: bytes) -> None:
    page.box("dog_1", 0, area(10, 10, 40, 40))
    path = tmp_path / "annotations" / "made" / "clip.jsonl"
    path.write_bytes(line + path.read_bytes().replace(b'"hand_inside":null', b'"hand_inside":"!!"'))
    page.box("dog_1", 0, area(10, 10, 41, 40))
    assert page.mask("dog_1", 0).any() and read_made(Workspace(tmp_path), "clip")
