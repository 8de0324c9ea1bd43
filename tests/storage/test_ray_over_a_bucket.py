"""A Ray cluster whose nodes have the bucket, and a folder of their own, in place of the workspace."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support.bucket import served_bucket
from support.ray_nodes import ray_nodes
from support.shell import start
from support.stored_world import (
    bytes_in_bucket,
    made_workspace,
    media_bytes,
    other_bytes,
    run,
    run_arguments,
    small_world,
)

pytestmark = pytest.mark.slow


def is_cutting(scratch: Path) -> bool:
    """Whether a worker has begun to take stills out of a clip. Folders that end meanwhile are no answer."""
    try:
        return any(scratch.rglob("frames"))
    except OSError:
        return False


def test_a_node_dies_and_requests_fail_and_the_bytes_are_those_of_one_machine(tmp_path: Path) -> None:
    videos = small_world(tmp_path)
    local = made_workspace(tmp_path / "local", videos, None)
    assert run(local).code == 0
    scratch = tmp_path / "scratch"
    with served_bucket() as server, ray_nodes(environment={"AVIS_DATA_SCRATCH": str(scratch)}) as nodes:
        away = made_workspace(tmp_path / "away", videos, server)
        other = nodes.join()
        server.fail(0.2)
        process = start(*run_arguments(away), "--executor", "ray", "--ray-address", nodes.address)
        while process.poll() is None and not is_cutting(scratch):
            time.sleep(0.05)
        nodes.kill(other)
        _, err = process.communicate(timeout=240)
        server.fail(0)
        assert process.returncode == 0, err
        assert server.counts()["failed"] > 5
        assert bytes_in_bucket(server, away) == media_bytes(local)
    assert media_bytes(away) == {}, "a node wrote into the workspace"
    assert other_bytes(away) == other_bytes(local)
