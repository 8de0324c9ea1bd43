"""The command that drives a Ray cluster is killed at any moment, and run again: the bytes are those of one machine.

`AVIS_DATA_KILLS=20 pytest tests/pipelines/engine/test_ray_driver.py` kills it so often; by itself it is twice.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from avis_data.paths import Workspace
from support.ray_nodes import ray_nodes
from support.shell import avis_data, killed
from support.stored_world import fetched, made_workspace, media_bytes, small_world

pytestmark = pytest.mark.slow
NUM_KILLS = int(os.environ.get("AVIS_DATA_KILLS", "2"))


def test_the_command_is_killed_at_any_moment(tmp_path: Path) -> None:
    videos, rng = small_world(tmp_path), random.Random(6)
    local, away = (made_workspace(tmp_path / name, videos, None) for name in ("local", "away"))
    assert fetched(local).code == fetched(away).code == 0
    assert avis_data("-C", local, "extract").code == 0
    with ray_nodes() as nodes:
        nodes.join()
        command = ("-C", away, "extract", "-j", 2, "--executor", "ray", "--ray-address", nodes.address)
        began = time.monotonic()
        assert avis_data(*command).code == 0
        lasts_s = time.monotonic() - began
        assert media_bytes(away) == media_bytes(local)
        kills = 0
        while kills < NUM_KILLS:
            began = time.monotonic()
            if killed(*command, "--force", after_s=rng.uniform(0.2, 0.8) * lasts_s):
                kills += 1
            else:
                lasts_s = time.monotonic() - began  # the first run had to start Ray's workers, too
        ran = avis_data(*command)
        assert ran.code == 0, ran.err
    assert media_bytes(away) == media_bytes(local)
    assert not list(Workspace(away).tmp.rglob("out-*"))
