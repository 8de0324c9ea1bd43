"""What `annotate status` says of the servers on this machine."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from avis_data.annotation.labelstudio.settings import server_dir
from avis_data.annotation.segmenters.grabcut import GrabCut
from avis_data.annotation.serve.click_answer import Answerer
from avis_data.annotation.serve.embedding_cache import EmbeddingCache
from avis_data.annotation.serve.page_state import no_drafts
from avis_data.annotation.serve.segmenter import LOG_FORMAT
from avis_data.annotation.serve.segmenter_app import create_app
from avis_data.annotation.serve.server_states import refusals, server_states
from avis_data.paths import Workspace


def test_a_click_that_came_to_nothing_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On the page, and to the lead by `annotate status`."""
    workspace = Workspace(tmp_path)
    log = server_dir(workspace) / "backend.log"
    log.parent.mkdir()
    cache = EmbeddingCache(tmp_path / "cache", engine="grabcut", weights_sha256=None, most_bytes=10**6)
    client = TestClient(create_app(Answerer(workspace, GrabCut(), cache), no_drafts, token="t"))
    client.auth = ("avis-data", "t")
    place = {"id": "k", "item_index": 0, "original_width": 10, "original_height": 10}
    value = {"x": 1, "y": 1, "labels": ["dog_1"]}
    prompts = [{**place, "type": kind, "value": value} for kind in ("keypoint", "labels")]
    data = {"clip_id": "clip-a", "num_seconds": 1, "width": 10, "height": 10}
    asked = {"tasks": [{"id": 1, "data": data}], "params": {"context": {"result": prompts}}}
    (answer,) = client.post("/predict", json=asked).json()["results"]
    assert answer["result"] == [] and "no such still" in answer["told"]
    formatter = logging.Formatter(LOG_FORMAT)
    lines = [formatter.format(record) for record in caplog.records if record.levelno == logging.WARNING]
    log.write_text("\n".join(["INFO something", *lines, "Traceback (most recent call last):"]) + "\n")
    (refused,) = [item for item in refusals(workspace) if "no such still" in item.why]
    assert refused.clip_id == "clip-a"
    json.dumps(refused.as_dict())


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"{", b"2026-01-01 00:00:00,0 WARNING clip=../x y\n" * 9])
def test_damaged_files_say_nothing(tmp_path: Path, content: bytes) -> None:
    folder = server_dir(Workspace(tmp_path))
    folder.mkdir()
    for name in ("backend.log", "processes.json"):
        (folder / name).write_bytes(content)
    assert refusals(Workspace(tmp_path)) == [] and server_states(Workspace(tmp_path)) == []


def test_only_the_last_are_shown(tmp_path: Path) -> None:
    folder = server_dir(Workspace(tmp_path))
    folder.mkdir()
    lines = [f"2026-01-01 00:00:{number:02},123 WARNING clip=c{number}: nothing" for number in range(20)]
    (folder / "backend.log").write_text("\n".join(lines) + "\n")
    assert [item.clip_id for item in refusals(Workspace(tmp_path))] == ["c15", "c16", "c17", "c18", "c19"]
