"""Kill -9 at random moments of a run over a bucket, then run again: the bytes of an undisturbed run, nothing else.

`AVIS_DATA_KILLS=20 pytest tests/chain/test_bucket_kills.py` kills so often at least.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from support.bucket import served_bucket
from support.shell import avis_data, killed
from support.stored_world import bytes_in_bucket, made_workspace, media_bytes, small_world

pytestmark = pytest.mark.slow

NUM_KILLS = int(os.environ.get("AVIS_DATA_KILLS", "4"))
SHARE_FAILING = 0.1


def test_kills_change_no_byte_in_the_bucket(tmp_path: Path) -> None:
    rng, videos = random.Random(21), small_world(tmp_path)
    local = made_workspace(tmp_path / "local", videos, None)
    lasts_s = []
    for step in steps(local):
        began = time.monotonic()
        assert avis_data(*step).code == 0
        lasts_s.append(time.monotonic() - began)
    with served_bucket() as server:
        kills = rounds = 0
        while kills < NUM_KILLS:
            rounds += 1
            again = made_workspace(tmp_path / f"killed-{rounds}", videos, server)
            server.fail(SHARE_FAILING)
            for step, most_s in zip(steps(again), lasts_s, strict=True):
                for _ in range(2):
                    kills += killed(*step, after_s=rng.uniform(0.1, 2 * most_s))
                ran = avis_data(*step)
                assert ran.code == 0, ran.err
            server.fail(0)
            assert bytes_in_bucket(server, again) == media_bytes(local), f"round {rounds}"
            assert media_bytes(again) == media_bytes(local)


def steps(root: Path) -> list[tuple[object, ...]]:
    listed = root.with_name(f"{root.name}.csv")
    return [
        ("-C", root, "fetch", "-j", 2, "--list", listed, "--allow-local"),
        ("-C", root, "extract", "-j", 2),
        ("-C", root, "embed", "--untrained", "-j", 1),
    ]
