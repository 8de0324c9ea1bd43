"""The real service while its engine is loaded and afterwards: what it answers, and what it tells Prometheus."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from avis_data.annotation.labels.records import Interval
from avis_data.annotation.labelstudio.regions import sounding_region
from avis_data.paths import Workspace
from support.gated_engine import BREAKS_AT_X, NOTHING_AT_X
from support.label_studio import free_port
from support.places import ROOT, TESTS

WIDTH, HEIGHT, SECONDS = 96, 64, 6


class Service:
    """The service over a clip of six stills on which nothing moves."""

    def __init__(self, folder: Path) -> None:
        self.gates, self.port = folder / "gates", free_port()
        self.gates.mkdir()
        workspace = Workspace(folder / "ds")
        noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        for second in range(SECONDS):
            path = workspace.frame("clip", second)
            path.parent.mkdir(parents=True, exist_ok=True)
            noise[0, 0] = 10 * second
            Image.fromarray(noise).save(path, quality=95)
        token_file = folder / "token"
        token_file.write_text("a-token\n")
        command = [sys.executable, "-m", "support.gated_engine", str(self.gates), "--workspace", str(workspace.root)]
        command += ["--port", str(self.port), "--token-file", str(token_file)]
        self.log = folder / "log"
        with self.log.open("wb") as log:
            path = os.pathsep.join([str(TESTS), str(ROOT), os.environ.get("PYTHONPATH", "")])
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": path})
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            auth=("avis-data", "a-token"),
            timeout=60,
            limits=httpx.Limits(max_keepalive_connections=0),  # after a fault of the engine a connection is closed
        )

    def health(self) -> int:
        """Its status; 0 where nothing listens."""
        try:
            return self.client.get("/health").status_code
        except httpx.TransportError:
            return 0

    def until(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not what():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def ask(self, *regions: dict[str, Any], clip_id: str = "clip", label: str = "dog_1") -> int:
        """A click; without any, a page that is opened."""
        data = {"clip_id": clip_id, "num_seconds": SECONDS, "width": WIDTH, "height": HEIGHT}
        heard = sounding_region(label, Interval(start_s=0, end_s=SECONDS))
        task = {"id": 7, "data": data, "drafts": [{"result": [heard, *regions], "user": "ann"}]}
        asked = {"tasks": [task], "params": {"context": {"result": list(regions)}}}
        return self.client.post("/predict", json=asked).status_code

    def figures(self) -> dict[tuple[str, ...], float]:
        """All figures by name and the values of their labels, in the order of the labels' names."""
        page = self.client.get("/metrics")
        assert page.status_code == 200 and page.headers["content-type"].startswith("text/plain; version=0.0.4")
        return {
            (
                sample.name.removeprefix("avis_segmenter_"),
                *(sample.labels[label] for label in sorted(sample.labels)),
            ): sample.value
            for family in text_string_to_metric_families(page.text)
            for sample in family.samples
        }


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path)
    yield running
    running.client.close()
    running.process.kill()
    running.process.wait()


def point(x: float, y: float, *, label: str = "dog_1") -> dict[str, Any]:
    value = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "labels": [label]}
    return {"id": f"p{x}", "item_index": 0, "type": "keypoint", "is_positive": True, "value": value}


def box(label: str) -> dict[str, Any]:
    value = {"x": 20, "y": 20, "width": 40, "height": 40, "labels": [label]}
    return {"id": f"box-{label}", "item_index": 0, "type": "rectangle", "value": value}


def container_says(port: int) -> int:
    """The exit code of the health check of docker-compose.yml."""
    check = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["backend"]["healthcheck"]["test"]
    assert check[:2] == ["CMD", "python"]
    command = [sys.executable, *(word.replace(":9090/", f":{port}/") for word in check[2:])]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode


def test_it_is_healthy_only_when_its_engine_is_loaded(service: Service) -> None:
    service.until(lambda: service.health() == 503)
    assert httpx.get(f"{service.client.base_url}/health").json()["status"] == "LOADING"
    assert container_says(service.port) != 0
    assert service.ask(point(40, 30)) == service.client.post("/setup", json={}).status_code == 503
    before = service.figures()
    assert before["model_loaded",] == 0 and before["requests_total", "loading", "/predict"] == 1
    assert not any(name[0] == "engine_info" for name in before)
    (service.gates / "load").touch()
    service.until(lambda: service.health() == 200)
    assert container_says(service.port) == 0
    assert service.client.get("/health").json() == {"status": "UP", "model_class": "gated-abababab"}
    after = service.figures()
    assert after["model_loaded",] == 1 and after["engine_info", "gated", "ab" * 32] == 1
    assert after["requests_total", "loading", "/predict"] == 1, "one count from the start on"
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(20) in (0, -signal.SIGTERM)


def test_an_engine_that_cannot_be_loaded_ends_it_in_words(service: Service) -> None:
    service.until(lambda: service.health() == 503)
    (service.gates / "load.part").write_text("the weights are of another engine")
    (service.gates / "load.part").rename(service.gates / "load")
    assert service.process.wait(30) == 3
    assert "the segmenter cannot start: the weights are of another engine" in service.log.read_text()
    assert "Traceback" not in service.log.read_text()


def test_it_can_be_ended_while_it_loads(service: Service) -> None:
    service.until(lambda: service.health() == 503)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(20) in (0, -signal.SIGTERM)


def test_only_the_token_opens_the_figures(service: Service) -> None:
    service.until(lambda: service.health() == 503)
    for _ in ("while it loads", "afterwards"):
        for auth in (("avis-data", "wrong"), ("admin", "a-token")):
            assert httpx.get(f"{service.client.base_url}/metrics", auth=auth).status_code == 401
        assert httpx.get(f"{service.client.base_url}/metrics").text == '{"error":"a token is needed"}'
        (service.gates / "load").touch()
        service.until(lambda: service.health() == 200)
    for number in range(3):
        service.client.get(f"/nowhere/{number}")
    figures = service.figures()
    assert figures["requests_total", "no_token", "/metrics"] == 6
    assert figures["requests_total", "invalid", "other"] == 3, "addresses of strangers make no figures of their own"


def test_prometheus_gets_in_as_is_documented(service: Service) -> None:
    (found,) = re.findall(r"```yaml\n(scrape_configs:.*?)```", (ROOT / "docs" / "annotation.md").read_text(), re.DOTALL)
    (job,) = yaml.safe_load(found)["scrape_configs"]
    service.until(lambda: service.health() == 503)
    auth = (job["basic_auth"]["username"], "a-token")
    answer = httpx.get(f"{service.client.base_url}{job['metrics_path']}", auth=auth)
    assert "avis_segmenter_model_loaded 0.0" in answer.text
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert job["static_configs"][0]["targets"][0].split(":")[0] in services


def test_clicks_are_counted_by_how_they_end(service: Service) -> None:
    (service.gates / "load").touch()
    service.until(lambda: service.health() == 200)
    assert service.ask() == 200  # a page is opened: its stills are worked out ahead
    service.until(lambda: service.figures()["embeddings_total", "made"] == SECONDS)
    assert service.figures()["embeddings_total", "in_cache"] == 0
    assert [service.ask(point(x, 30)) for x in (40, 50, NOTHING_AT_X - 5, BREAKS_AT_X + 5)] == [200, 200, 200, 500]
    assert service.ask(point(40, 30), clip_id="gone") == 200, "Label Studio passes no word of another answer on"
    assert service.client.post("/predict", content=b"no json").status_code == 400
    figures = service.figures()
    assert {
        name[1]: value for name, value in figures.items() if name[0] == "requests_total" and "/predict" in name
    } == {
        "answered": 4,
        "refused": 1,
        "invalid": 1,
        "failed": 1,
    }
    assert figures["click_seconds_count", "found"] == 2 and figures["click_seconds_count", "none"] == 1
    assert figures["click_seconds_bucket", "+Inf", "found"] == 2 and figures["click_seconds_sum", "found"] > 0
    assert figures["embeddings_total", "made"] == SECONDS and figures["embeddings_total", "in_cache"] >= 4
    service.until(lambda: service.figures()["background_failures_total", "embed_ahead"] == SECONDS)
    page = service.client.get("/metrics").text
    assert "gone" not in page and "dog_1" not in page and "ann" not in page.replace("cannot", "")


def test_boxes_that_run_wait_and_fail_are_counted(service: Service) -> None:
    (service.gates / "load").touch()
    service.until(lambda: service.health() == 200)
    for label in ("dog_1", "dog_2", "cat_1"):
        assert service.ask(box(label), label=label) == 200
    figures = service.figures()
    assert (figures["fills", "running"], figures["fills", "waiting"]) == (2, 1)
    (service.gates / "fill.part").write_text("break")
    (service.gates / "fill.part").rename(service.gates / "fill")
    service.until(lambda: service.figures()["background_failures_total", "fill"] == 3)
    figures = service.figures()
    assert (figures["fills", "running"], figures["fills", "waiting"]) == (0, 0)
