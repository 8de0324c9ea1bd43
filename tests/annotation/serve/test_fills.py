"""A box answers its own still at once; the others come when the page asks, whatever happens in between."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from avis_data.annotation.labels.made_masks import fillings
from avis_data.annotation.labels.records import Interval
from avis_data.annotation.labelstudio.regions import mask_regions, sounding_region
from avis_data.annotation.segmenters.segmenter import Embedding, Found, Prompt
from avis_data.annotation.serve import fills as fills_module
from avis_data.annotation.serve.click_answer import Answerer
from avis_data.annotation.serve.embedding_cache import EmbeddingCache
from avis_data.annotation.serve.page_state import no_drafts
from avis_data.annotation.serve.segmenter_app import create_app
from avis_data.masks.rle import encode
from avis_data.paths import Workspace
from support.filled import ask_until_filled

WIDTH, HEIGHT, SECONDS = 96, 64, 6
OTHERS = [f"dog_1.{second:05d}" for second in range(1, SECONDS)]


class Slow:
    """Marks the box. Stills without one of a person wait until the test lets them go on."""

    name, weights_sha256, embeds = "slow", None, False

    def __init__(self) -> None:
        self.may = threading.Semaphore(0)
        self.fails = False

    def embed(self, picture_HW3: NDArray[np.uint8]) -> Embedding:
        return {}

    def segment(self, picture_HW3: NDArray[np.uint8], embedding: Embedding, prompt: Prompt) -> Found:
        if threading.current_thread().name == "fills":
            assert self.may.acquire(timeout=30)
            if self.fails:
                raise ZeroDivisionError("of the engine")
        mask = np.zeros(picture_HW3.shape[:2], bool)
        x0, y0, x1, y1 = (round(side) for side in prompt.box or (2, 2, 12, 12))
        mask[y0:y1, x0:x1] = True
        return Found(mask_HW=mask, confidence=0.9)


class Page:
    """One person's page of a task, which sends its draft along."""

    def __init__(self, client: TestClient, user: str, task_id: int = 7) -> None:
        self._client, self._user, self._task_id = client, user, task_id
        self.regions = [dict(sounding_region("dog_1", Interval(start_s=0, end_s=SECONDS)))]

    def ask(self, context: dict[str, Any]) -> dict[str, Any]:
        data = {"clip_id": "clip", "num_seconds": SECONDS, "width": WIDTH, "height": HEIGHT}
        draft = {"result": self.regions, "user": self._user}
        task = {"id": self._task_id, "data": data, "drafts": [draft]}
        answer = self._client.post("/predict", json={"tasks": [task], "params": {"context": context}})
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def click(self, label: str, second: int, kind: str = "rectangle") -> dict[str, Any]:
        value = {"x": 10, "y": 10, "width": 30, "height": 30, "labels": [label]}
        prompt = {"id": f"{self._user}-{label}-{second}-{kind}", "item_index": second, "type": kind, "value": value}
        self.regions.append(prompt)
        answer = self.ask({"result": [prompt]})
        self.regions.remove(prompt)
        return answer

    def shows(self, answer: dict[str, Any]) -> list[str]:
        """Put an answer on the page; the ids of its masks."""
        new = answer["results"][0]["result"] if answer["results"] else []
        ids = {region["id"] for region in new}
        self.regions = [region for region in self.regions if region["id"] not in ids] + new
        return sorted(ids)

    def rest(self, answer: dict[str, Any]) -> list[str]:
        """Ask until the box is filled; the ids of what came."""
        return sorted({region["id"] for region in ask_until_filled(self.ask, answer)})


@pytest.fixture
def engine() -> Slow:
    return Slow()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A clip of six stills on which nothing moves."""
    folder = tmp_path / "clips" / "clip" / "frames"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for second in range(SECONDS):
        Image.fromarray(noise).save(folder / f"{second:05d}.jpg", quality=95)
    return Workspace(tmp_path)


Start = Callable[..., TestClient]


@pytest.fixture
def start(workspace: Workspace, engine: Slow) -> Iterator[Start]:
    """Starts the service; each ends with its thread."""
    running: list[TestClient] = []

    def started(**more: Any) -> TestClient:
        cache = EmbeddingCache(workspace.root / "cache", engine="slow", weights_sha256=None, most_bytes=10**6)
        client = TestClient(create_app(Answerer(workspace, engine, cache), no_drafts, token="t", **more))
        client.auth = ("avis-data", "t")
        running.append(client.__enter__())
        return client

    yield started
    engine.may.release(1000)
    for client in running:
        client.__exit__(None, None, None)


def let(engine: Slow, page: Page, answer: dict[str, Any], number: int) -> dict[str, Any]:
    """Let so many stills be found, and ask until they are."""
    engine.may.release(number)
    said, new = answer, list[Any]()
    while True:
        said = page.ask({"result": [], "filling": said["results"][0]["filling"]})
        new += said["results"][0]["result"]
        if len({region["id"] for region in new}) == number:
            said["results"][0]["result"] = new
            return said


def test_its_own_still_is_there_before_any_other(start: Start, engine: Slow, workspace: Workspace) -> None:
    page = Page(start(), "ann")
    answer = page.click("dog_1", 0)
    assert page.shows(answer) == ["dog_1.00000"]
    filling = answer["results"][0]["filling"]
    assert (filling["left"], filling["says"]) == (5, "dog_1: 1 of 6 stills")
    (kept,) = fillings(workspace)
    assert kept.key == filling["key"] and kept.clip_id == "clip"
    said = let(engine, page, answer, 2)
    assert page.shows(said) == OTHERS[:2]
    assert said["results"][0]["filling"]["left"] == 3 and "dog_1: 3 of 6" in said["results"][0]["filling"]["says"]
    engine.may.release(3)
    assert page.rest(said) == OTHERS[2:]
    assert fillings(workspace) == [] and page.ask({"result": [], "filling": filling})["results"][0]["result"] == []


@pytest.mark.parametrize("by", ["asking", "a click"])
def test_an_answer_that_is_lost_on_its_way_is_given_again(
    start: Start, engine: Slow, workspace: Workspace, by: str
) -> None:
    page = Page(start(), "ann")
    answer = page.click("dog_1", 0)
    page.shows(answer)
    engine.may.release(5)
    asked = {"result": [], "filling": answer["results"][0]["filling"]}  # all that the page has got
    while True:
        lost = page.ask(asked)
        if {region["id"] for region in lost["results"][0]["result"]} == set(OTHERS):
            break
    if by == "asking":
        lost = page.ask(asked)
        assert page.shows(lost) == OTHERS
    else:
        assert page.shows(page.click("dog_1", 0, "keypoint")) == ["dog_1.00000", *OTHERS]
        assert fillings(workspace) == [], "a page that never asks has it all"
    page.regions = [region for region in page.regions if region["id"] not in OTHERS]  # the hand takes them away
    assert page.rest(lost) == [] and fillings(workspace) == [], "what the page has told is not given again"


def test_a_full_disk_costs_no_box(
    start: Start, engine: Slow, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fills_module, "write_json", full)
    page = Page(start(), "ann")
    engine.may.release(10)
    assert page.rest(page.click("dog_1", 0)) == OTHERS and fillings(workspace) == []


def test_a_page_that_never_asks_gets_the_rest_with_its_next_click_on_that_object(start: Start, engine: Slow) -> None:
    page = Page(start(), "ann")
    answer = page.click("dog_1", 0)
    page.shows(answer)
    page.shows(let(engine, page, answer, 1))
    engine.may.release(4)
    got: set[str] = set()
    for _ in range(500):
        assert page.shows(page.click("cat_1", 3, "keypoint")) == ["cat_1.00003"], "the page would call all of it a cat"
        got |= set(page.shows(page.click("dog_1", 0, "keypoint")))
        if got >= set(OTHERS[1:]):
            break
        threading.Event().wait(0.02)
    assert got == {"dog_1.00000", *OTHERS[1:]}


def test_what_a_person_did_meanwhile_stays(start: Start, engine: Slow) -> None:
    page = Page(start(), "ann")
    answer = page.click("dog_1", 0)
    page.shows(answer)
    drawn = np.zeros((HEIGHT, WIDTH), bool)
    drawn[40:60, 40:60] = True
    page.regions += [dict(region) for region in mask_regions("dog_1", 2, encode(drawn), key="by hand")]
    page.click("dog_1", 4, "keypoint")  # its answer is not saved yet when the rest comes
    engine.may.release(5)
    assert page.rest(answer) == [OTHERS[0], OTHERS[2], OTHERS[4]]


def test_two_people_at_one_task_get_their_own(start: Start, engine: Slow) -> None:
    client = start()
    ann, bob = Page(client, "ann"), Page(client, "bob")
    first, second = ann.click("dog_1", 0), bob.click("dog_1", 5)
    ann.shows(first)
    bob.shows(second)
    engine.may.release(10)
    assert ann.rest(first) == OTHERS
    assert "dog_1.00001" not in ann.shows(ann.click("dog_1", 0, "keypoint"))
    assert Page(client, "ann", task_id=8).ask({"result": [], "filling": second["results"][0]["filling"]})[
        "results"
    ] == [{"score": 0.0, "model_version": "slow", "result": []}]
    assert "dog_1.00005" not in bob.rest(second)


def test_a_service_that_was_killed_goes_on_when_it_is_started_again(
    start: Start, engine: Slow, workspace: Workspace
) -> None:
    page = Page(start(), "ann")
    answer = page.click("dog_1", 0)
    page.shows(answer)
    page.shows(let(engine, page, answer, 2))
    again = Page(start(), "ann")  # the first one does nothing any more: it waits for the engine
    again.regions = page.regions
    engine.may.release(10)
    assert again.rest(answer) == OTHERS[2:], "what the page has is not sent once more"
    assert fillings(workspace) == []


def test_a_task_that_was_deleted_costs_nothing(start: Start, engine: Slow, workspace: Workspace) -> None:
    page = Page(start(is_there=lambda task_id: task_id != 7), "ann")
    answer = page.click("dog_1", 0)
    assert page.rest(answer) == [] and fillings(workspace) == []


def test_an_object_that_was_taken_away_is_not_filled_on(start: Start, engine: Slow, workspace: Workspace) -> None:
    page = Page(start(), "ann")
    answer = page.click("dog_1", 0)
    page.shows(answer)
    page.shows(let(engine, page, answer, 1))
    page.regions = page.regions[:1]
    engine.may.release(10)
    assert page.rest(answer) == [] and fillings(workspace) == []


def test_a_second_box_of_an_object_ends_the_first(start: Start, engine: Slow, workspace: Workspace) -> None:
    page = Page(start(), "ann")
    first = page.click("dog_1", 0)
    page.shows(first)
    second = page.click("dog_1", 5)
    page.shows(second)
    assert [filling.frame for filling in fillings(workspace)] == [5]
    engine.may.release(10)
    assert page.rest(first) == []
    assert page.rest(second) == OTHERS[:4], "the still of the first box stays: a person pointed there"


def test_the_thread_ends_with_the_service(start: Start, engine: Slow, workspace: Workspace) -> None:
    before = set(threading.enumerate())  # services of other tests are among them
    client = start()
    Page(client, "ann").click("dog_1", 0)
    (thread,) = [thread for thread in set(threading.enumerate()) - before if thread.name == "fills"]
    engine.may.release(1)
    client.__exit__(None, None, None)
    assert not thread.is_alive() and len(fillings(workspace)) == 1, "what is left is kept"
    client.__enter__()


@pytest.mark.parametrize("damage", ["an engine that fails", "a still that is gone"])
def test_what_goes_wrong_is_told_and_costs_one_box(
    start: Start, engine: Slow, workspace: Workspace, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    page = Page(start(), "ann")
    answer = page.click("dog_1", 0)
    page.shows(answer)
    if damage == "a still that is gone":
        workspace.frame("clip", 2).unlink()
        engine.may.release(1)
    else:
        engine.fails = True
        engine.may.release(1)
    with caplog.at_level(logging.WARNING):
        page.rest(answer)
    assert "clip=clip: the other stills of dog_1 cannot be filled" in caplog.text and fillings(workspace) == []
    engine.fails = False
    engine.may.release(10)
    if damage == "an engine that fails":
        assert page.rest(page.click("dog_1", 5)) == OTHERS[:4]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 3000])
def test_damaged_files_of_boxes_stop_no_service(
    start: Start, engine: Slow, workspace: Workspace, content: bytes
) -> None:
    path = workspace.annotations / "filling" / "clip.x.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    page = Page(start(), "ann")
    engine.may.release(10)
    assert page.rest(page.click("dog_1", 0)) == OTHERS


def test_boxes_of_a_removed_clip_and_of_yesterday_are_given_up(
    start: Start, engine: Slow, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page(start(), "ann")
    answer = page.click("dog_1", 0)
    for path in (workspace.annotations / "filling").rglob("*.json"):
        path.unlink()  # as `avis-data remove` does
    engine.may.release(1)
    assert page.rest(answer) == [] and fillings(workspace) == []
    page.click("dog_1", 0)
    monkeypatch.setattr(fills_module, "_KEPT", -fills_module._KEPT)
    assert Page(start(), "ann").ask({"result": []}) == {"results": []} and fillings(workspace) == []
