"""The service as Label Studio calls it: a token, prompts with their context, one still or all sounding ones."""

from __future__ import annotations

import base64
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from avis_data.annotation.labels.made_masks import made_masks, mask_sha256
from avis_data.annotation.labels.records import Interval, MaskOrigin
from avis_data.annotation.labelstudio.regions import mask_regions, sounding_region
from avis_data.annotation.segmenters.segmenter import Embedding, Found, Prompt
from avis_data.annotation.serve.click_answer import Answerer
from avis_data.annotation.serve.embedding_cache import AheadOfClicks, EmbeddingCache
from avis_data.annotation.serve.page_state import no_drafts
from avis_data.annotation.serve.segmenter_app import create_app
from avis_data.errors import DataError
from avis_data.masks.brush_rle import decode_brush
from avis_data.masks.rle import encode
from avis_data.paths import Workspace
from support.filled import ask_until_filled
from support.machine_faults import quota

TOKEN = "a-long-token"
SIZE_HW = (60, 100)


class Recorder:
    """A segmenter that marks the box, or discs around points and what the mask was; it remembers its questions."""

    name, weights_sha256, embeds = "recorder", "a" * 64, True

    def __init__(self) -> None:
        self.embedded: list[int] = []
        self.prompts: list[Prompt] = []
        self.lock = threading.Lock()

    def embed(self, picture_HW3: NDArray[np.uint8]) -> Embedding:
        with self.lock:
            self.embedded.append(int(picture_HW3[0, 0, 0]))
        return {"map0": picture_HW3[:2, :2, 0].astype(np.float16)}

    def segment(self, picture_HW3: NDArray[np.uint8], embedding: Embedding, prompt: Prompt) -> Found:
        assert int(embedding["map0"][0, 0]) == int(picture_HW3[0, 0, 0]), "the embedding is that of the still"
        with self.lock:
            self.prompts.append(prompt)
        rows, columns = np.mgrid[: picture_HW3.shape[0], : picture_HW3.shape[1]]
        mask = np.zeros(picture_HW3.shape[:2], bool) if prompt.mask_HW is None else prompt.mask_HW.copy()
        if prompt.box is not None:
            x0, y0, x1, y1 = prompt.box
            mask |= (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1)
        for x, y in prompt.inside:
            mask |= (columns - x) ** 2 + (rows - y) ** 2 <= 9
        for x, y in prompt.outside:
            mask &= (columns - x) ** 2 + (rows - y) ** 2 > 9
        return Found(mask_HW=mask, confidence=0.9)


@pytest.fixture
def bare(tmp_path: Path) -> Workspace:
    """Two clips of six stills: a bright square on noise that moves three pixels to the right each second."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 60, (*SIZE_HW, 3))
    for clip in ("clip-a", "clip-b"):
        folder = tmp_path / "ds" / "clips" / clip / "frames"
        folder.mkdir(parents=True)
        for second in range(6):
            still = noise.astype(np.uint8).copy()
            still[20:40, 10 + 3 * second : 30 + 3 * second] = rng.integers(150, 255, (20, 1, 3)) // 1
            still[20:40, 10 + 3 * second : 30 + 3 * second] = np.linspace(120, 250, 20, dtype=np.uint8)[:, None, None]
            still[0, 0] = 10 * second
            Image.fromarray(still).save(folder / f"{second:05d}.jpg", quality=100, subsampling=0)
    return Workspace(tmp_path / "ds")


@pytest.fixture
def engine() -> Recorder:
    return Recorder()


@pytest.fixture
def client(bare: Workspace, engine: Recorder) -> TestClient:
    answerer = Answerer(bare, engine, cache_of(bare))
    return TestClient(create_app(answerer, no_drafts, token=TOKEN), headers={"Authorization": basic(TOKEN)})


def cache_of(workspace: Workspace, *, most_bytes: int = 10**9, weights: str = "a") -> EmbeddingCache:
    folder = workspace.root / "cache"
    return EmbeddingCache(folder, engine="recorder", weights_sha256=weights, most_bytes=most_bytes)


def basic(password: str, user: str = "avis-data") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def body(
    *prompts: dict[str, Any], clip_id: str = "clip-a", draft: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    data = {"clip_id": clip_id, "num_seconds": 6, "width": SIZE_HW[1], "height": SIZE_HW[0], "frames": ["x"] * 6}
    task = {"id": 3, "data": data, "drafts": [{"id": 1, "result": draft or []}], "annotations": [], "predictions": []}
    return {"tasks": [task], "project": "1.2", "label_config": "<View/>", "params": {"context": {"result": [*prompts]}}}


def prompt(
    kind: str, label: str, second: int, value: dict[str, float], *, key: str, positive: bool = True
) -> list[dict[str, Any]]:
    """A region and its label, as the page sends every prompt twice."""
    place = {"id": key, "item_index": second, "original_width": SIZE_HW[1], "original_height": SIZE_HW[0]}
    first = {
        **place,
        "type": kind,
        "from_name": "point",
        "is_positive": positive,
        "value": {**value, "labels": [label]},
    }
    return [first, {**place, "type": "labels", "from_name": "object", "value": {**value, "labels": [label]}}]


def point(
    label: str, second: int, x: float, y: float, *, key: str = "k", positive: bool = True
) -> list[dict[str, Any]]:
    value = {"x": 100 * x / SIZE_HW[1], "y": 100 * y / SIZE_HW[0], "width": 0.2}
    return prompt("keypoint", label, second, value, key=key, positive=positive)


def box(label: str, second: int, x: float, y: float, width: float, height: float) -> list[dict[str, Any]]:
    wide, high = 100 / SIZE_HW[1], 100 / SIZE_HW[0]
    value = {"x": x * wide, "y": y * high, "width": width * wide, "height": height * high, "rotation": 0}
    return prompt("rectangle", label, second, value, key="box")


def masks(answer: dict[str, Any]) -> dict[str, np.ndarray]:
    """By region id; checks that brush and label come in pairs."""
    (result,) = answer["results"]
    brushes = {region["id"]: region for region in result["result"] if region["type"] == "brush"}
    labels = {region["id"]: region for region in result["result"] if region["type"] == "labels"}
    assert set(brushes) == set(labels) and len(result["result"]) == 2 * len(brushes)
    return {
        key: decode_brush(region["value"]["rle"], height=SIZE_HW[0], width=SIZE_HW[1])
        for key, region in brushes.items()
    }


def told(answer: httpx.Response) -> str:
    """Why there is no mask. A success, since Label Studio passes no word of another answer on to the page."""
    (result,) = answer.json()["results"]
    assert answer.status_code == 200 and result["result"] == []
    return str(result["told"])


def filled(client: TestClient, *prompts: dict[str, Any], draft: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The masks of a box, those of its other stills too."""
    request = body(*prompts, draft=draft)
    answer = client.post("/predict", json=request).json()

    def ask(context: dict[str, Any]) -> dict[str, Any]:
        said: dict[str, Any] = client.post("/predict", json=request | {"params": {"context": context}}).json()
        return said

    found = masks(answer)
    later = ask_until_filled(ask, answer)
    return found | masks({"results": [{"result": later}]})


def spans(label: str, *seconds: tuple[int, int]) -> list[dict[str, Any]]:
    return [sounding_region(label, Interval(start_s=first, end_s=end)) for first, end in seconds]


def test_only_the_token_opens(client: TestClient) -> None:
    assert client.get("/health", headers={"Authorization": ""}).json() == {
        "status": "UP",
        "model_class": "recorder-aaaaaaaa",
    }
    wrong = ["", "Basic", "Basic !!!", basic("other"), basic(TOKEN, "admin"), f"Bearer {TOKEN}", basic(TOKEN + " ")]
    for header in wrong:
        for method, path in (("POST", "/predict"), ("POST", "/setup"), ("POST", "/webhook"), ("GET", "/versions")):
            assert client.request(method, path, headers={"Authorization": header}, json={}).status_code == 401
    assert client.post("/setup", json={}).json() == {"model_version": "recorder-aaaaaaaa"}
    assert client.get("/versions").json() == {"versions": ["recorder-aaaaaaaa"]}
    assert client.post("/webhook", json={"action": "x"}).status_code == 200


def test_a_point_mends_one_still(client: TestClient, engine: Recorder) -> None:
    draft = spans("dog_1", (0, 6))
    found = masks(client.post("/predict", json=body(*point("dog_1", 2, 30, 20), draft=draft)).json())
    assert list(found) == ["dog_1.00002"]
    assert found["dog_1.00002"][20, 30] and found["dog_1.00002"].sum() == 29
    assert engine.prompts[-1].inside == ((pytest.approx(30), pytest.approx(20)),)


def test_a_box_fills_the_seconds_in_which_the_draft_marks_the_object(client: TestClient, bare: Workspace) -> None:
    draft = [*spans("dog_1", (1, 3), (4, 6)), *spans("cat_1", (0, 6))]
    found = filled(client, *box("dog_1", 2, 16, 20, 20, 20), draft=draft)
    assert sorted(found) == [f"dog_1.{second:05d}" for second in (1, 2, 4, 5)]
    assert next(iter(found)) == "dog_1.00002", "its own still comes at once"
    for second in (1, 2, 4, 5):
        columns = np.nonzero(found[f"dog_1.{second:05d}"].any(axis=0))[0]
        assert abs(columns[0] - (10 + 3 * second)) <= 1 and abs(columns[-1] - (29 + 3 * second)) <= 1
    made = made_masks(bare, "clip-a")
    for key, mask in found.items():
        origin = MaskOrigin.CLICKED if key == "dog_1.00002" else MaskOrigin.PROPAGATED
        assert made[mask_sha256(encode(mask))].origin is origin
    same = filled(client, *box("dog_1", 2, 16, 20, 20, 20), draft=draft)
    assert same.keys() == found.keys(), "the ids are the same, so an answer replaces and never doubles"


def test_without_a_span_a_box_fills_its_own_still(client: TestClient) -> None:
    found = masks(
        client.post("/predict", json=body(*box("dog_1", 3, 19, 20, 20, 20), draft=spans("cat_1", (0, 6)))).json()
    )
    assert list(found) == ["dog_1.00003"]


def test_points_make_the_mask_of_that_still_better(client: TestClient, engine: Recorder) -> None:
    before = np.zeros(SIZE_HW, bool)
    before[5:15, 50:70] = True
    draft = [*mask_regions("dog_1", 2, encode(before)), *mask_regions("dog_1", 3, encode(~before))]
    request = body(*point("dog_1", 2, 52, 7, positive=False), draft=draft)
    found = masks(client.post("/predict", json=request).json())["dog_1.00002"]
    np.testing.assert_array_equal(engine.prompts[-1].mask_HW, before)
    assert not found[7, 52] and found[14, 69]


def test_pending_prompts_of_other_pages_and_labels_are_another_question(client: TestClient, engine: Recorder) -> None:
    pending = [
        *point("dog_1", 1, 5, 5, key="other page"),
        *point("cat_1", 2, 6, 6, key="other label"),
        *point("dog_1", 2, 7, 7, key="first"),
        *point("dog_1", 2, 40, 40, key="beside", positive=False),
        *point("dog_1", 2, 9, 9, key="last"),
    ]
    masks(client.post("/predict", json=body(*pending)).json())
    asked = engine.prompts[-1]
    assert asked.inside == ((pytest.approx(7), pytest.approx(7)), (pytest.approx(9), pytest.approx(9)))
    assert asked.outside == ((pytest.approx(40), pytest.approx(40)),)


def test_opening_a_task_answers_nothing_and_prepares_its_stills(client: TestClient, engine: Recorder) -> None:
    for params in (None, {}, {"context": None}, {"context": {"result": []}}):
        assert client.post("/predict", json=body() | {"params": params}).json() == {"results": []}
    deadline = threading.Event()
    for _ in range(200):
        if len(engine.embedded) == 6:
            break
        deadline.wait(0.05)
    assert sorted(engine.embedded) == sorted(set(engine.embedded)) and len(engine.embedded) == 6
    client.post("/predict", json=body(*point("dog_1", 4, 30, 20)))
    assert len(engine.embedded) == 6, "the click found its embedding"


def test_people_at_once_do_not_touch_each_other(client: TestClient) -> None:
    def ask(number: int) -> bool:
        clip, label, x = ("clip-a", "clip-b")[number % 2], f"dog_{number}", 10 + number
        found = masks(client.post("/predict", json=body(*point(label, number % 6, x, 30), clip_id=clip)).json())
        ((key, mask),) = found.items()
        return key == f"{label}.{number % 6:05d}" and bool(mask[30, x]) and int(mask.sum()) == 29

    with ThreadPoolExecutor(8) as people:
        assert all(people.map(ask, range(60)))


@pytest.mark.parametrize("clip_id", ["../clip-a", "/etc", "clip-a/../../x", "%2e%2e", "a" * 65, ""])
def test_a_clip_is_an_id_and_no_path(client: TestClient, clip_id: str) -> None:
    answer = client.post("/predict", json=body(*point("dog_1", 0, 5, 5), clip_id=clip_id))
    assert answer.status_code == 400 and "clip_id" in answer.json()["error"]


def test_a_link_out_of_the_workspace_is_not_followed(client: TestClient, bare: Workspace, tmp_path: Path) -> None:
    outside = tmp_path / "secret.jpg"
    outside.write_bytes(bare.frame("clip-a", 0).read_bytes())
    bare.frame("clip-a", 1).unlink()
    os.symlink(outside, bare.frame("clip-a", 1))
    answer = client.post("/predict", json=body(*point("dog_1", 1, 5, 5)))
    assert "leads out of the workspace" in told(answer)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (point("dog_1", 9, 5, 5), "page 9"),
        (point("dog_1", 1, 5, 5, positive=False), "click on it first"),
        ([point("dog_1", 1, 5, 5)[0] | {"value": {"x": "a", "y": 1, "labels": ["dog_1"]}}], "no numbers"),
        ([point("dog_1", 1, 5, 5)[0] | {"value": {"x": 1, "y": 1}}], "without a label"),
        (point("dog_1", 1, 1e9, 5), "far outside"),
    ],
)
def test_prompts_that_make_no_sense_are_told(client: TestClient, prompts: list[Any], message: str) -> None:
    answer = client.post("/predict", json=body(*prompts))
    assert message in told(answer)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"tasks": []}', b'{"tasks": [{"id": 1, "data": {}}]}', b"\xff"]
)
def test_what_is_no_request_is_refused(client: TestClient, content: bytes) -> None:
    answer = client.post("/predict", content=content)
    assert answer.status_code == 400 and "not a request" in answer.json()["error"]


def test_missing_stills_and_other_sizes_are_told(client: TestClient, bare: Workspace) -> None:
    bare.frame("clip-a", 2).unlink()
    assert "no such still" in told(client.post("/predict", json=body(*point("dog_1", 2, 5, 5))))
    request = body(*point("dog_1", 1, 5, 5))
    request["tasks"][0]["data"]["width"] = 50
    assert "100 x 60" in told(client.post("/predict", json=request))
    bare.frame("clip-a", 3).write_bytes(b"no picture")
    assert "no picture" in told(client.post("/predict", json=body(*point("dog_1", 3, 5, 5))))


def test_a_disk_that_takes_no_embedding_costs_no_click(tmp_path: Path) -> None:
    cache = cache_of(Workspace(tmp_path))
    with quota(0):
        cache.put("0" * 64, {"a": np.ones((4, 4), np.float32)})
    assert cache.get("0" * 64) is None and list((tmp_path / "cache").iterdir()) == []


def test_the_cache_is_bounded_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = cache_of(Workspace(tmp_path), most_bytes=40_000)
    embedding = {"map0": np.arange(2000, dtype=np.float16)}
    for number in range(30):
        cache.put(f"{number:064d}", embedding)
        os.utime(cache._path(f"{number:064d}"), (number, number))
        cache.get(f"{0:064d}")  # used again and again
    size = sum(path.stat().st_size for path in (tmp_path / "cache").iterdir())
    assert size <= 48_000
    kept = cache.get(f"{29:064d}")
    assert kept is not None and cache.get(f"{0:064d}") is not None and cache.get(f"{5:064d}") is None
    np.testing.assert_array_equal(kept["map0"], embedding["map0"])
    assert cache_of(Workspace(tmp_path), weights="b").get(f"{29:064d}") is None, "of other weights"
    cache._path(f"{29:064d}").write_bytes(b"torn")
    assert cache.get(f"{29:064d}") is None


def test_the_clip_opened_last_comes_first() -> None:
    done: list[tuple[str, int]] = []
    gate = threading.Event()

    def prepare(clip_id: str, second: int) -> None:
        gate.wait(10)
        if clip_id == "bad":
            raise DataError("no such still")
        done.append((clip_id, second))

    ahead = AheadOfClicks(prepare)
    for clip_id in ("bad", "first", "second"):
        ahead.open(clip_id, 3)
    ahead.open("second", 3)
    gate.set()
    ahead.wait()
    assert done == [("second", k) for k in range(3)] + [("first", k) for k in range(3)]


DIGITS = "9" * 5000
ODD_BODIES = {
    "digits as an id": f'{{"tasks": [{{"id": {DIGITS}}}]}}',
    "digits as a place": None,
    "a half of a character": '{"tasks": [{"id": 1, "data": {"clip_id": "\\ud800"}}]}',
    "a half in a key": '{"\\udfff": 1, "tasks": []}',
    "nan": '{"tasks": [{"id": NaN}]}',
    "deep": "[" * 100_000,
    "no json": "\\x",
}


@pytest.mark.parametrize("what", ODD_BODIES)
def test_odd_numbers_and_characters_are_refused_in_words(client: TestClient, what: str) -> None:
    text = ODD_BODIES[what] or json.dumps(body(*point("dog_1", 2, 30, 20))).replace('"x": ', f'"x": {DIGITS}', 1)
    answer = client.post("/predict", content=text.encode())
    assert told(answer) if ODD_BODIES[what] is None else answer.status_code == 400 and answer.json()["error"]


def test_halves_of_characters_in_a_prompt_are_refused_in_words(client: TestClient) -> None:
    for half in ("\\ud800", "\\udfff"):
        text = json.dumps(body(*point("dog_1", 2, 30, 20))).replace("dog_1", f"dog{half}")
        answer = client.post("/predict", content=text.encode())
        assert 400 <= answer.status_code < 500, answer.text
