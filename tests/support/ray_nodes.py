"""A Ray cluster of several nodes on this machine, whose processes can be killed one by one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from support.places import ROOT, TESTS

__all__ = ["RayNodes", "ray_nodes"]

_QUICK = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "4",
    "RAY_num_prestart_python_workers": "0",
}
"""Dead nodes are noticed within seconds, as on a cluster within a quarter of a minute."""
_STORE_BYTES = 80_000_000
_TRIES = 3


class RayNodes:
    """A head, and nodes that come and go. `address` is what `--ray-address` is given."""

    def __init__(self, *, head_cpus: int, environment: dict[str, str]) -> None:
        from ray.cluster_utils import Cluster

        self._before = dict(os.environ)
        os.environ |= environment
        head = {"num_cpus": head_cpus, "object_store_memory": _STORE_BYTES, "include_dashboard": False}
        self._cluster: Any = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
        self.head: Any = self._cluster.head_node
        self.address: str = self._cluster.address

    def join(self, *, cpus: int = 1, gpus: int = 0, environment: dict[str, str] | None = None) -> Any:
        """Start one more node; returns at once when it is up. On a busy machine Ray may give up on it: then anew."""
        before = dict(os.environ)
        os.environ |= environment or {}
        try:
            for left in reversed(range(_TRIES)):
                try:
                    return self._cluster.add_node(num_cpus=cpus, num_gpus=gpus, object_store_memory=_STORE_BYTES)
                except Exception as error:  # Ray raises no other kind: "The current node timed out during startup"
                    if not left or "timed out" not in str(error):
                        raise
            raise AssertionError("no try was made")
        finally:
            _restore(before)

    def kill(self, node: Any) -> None:
        """Kill the node as a machine dies: its raylet, and with that its workers, at once."""
        with suppress(ProcessLookupError):
            os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        node.kill_all_processes(check_alive=False, allow_graceful=False)
        self._cluster.worker_nodes.discard(node)

    @property
    def others(self) -> list[Any]:
        """The nodes besides the head."""
        return list(self._cluster.worker_nodes)

    def workers(self, node: Any) -> list[int]:
        """The processes of our actors on a node, without what they have started."""
        raylet = node.all_processes["raylet"][0].process.pid
        return [pid for pid in _children(raylet) if b"ray::RayWorker" in _command(pid)]

    def end(self) -> None:
        """Kill all that is left of it."""
        for node in [*self.others, self.head]:
            node.kill_all_processes(check_alive=False, allow_graceful=False)
        with suppress(OSError):
            Path("/tmp/ray/ray_current_cluster").unlink()  # else `ray.init()` looks for it
        _restore(self._before)


def _restore(environment: dict[str, str]) -> None:
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ |= environment


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        files = list(Path(f"/proc/{pid}/task").glob("*/children"))
        return [int(child) for file in files for child in file.read_text().split()]
    return []


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@contextmanager
def ray_nodes(*, head_cpus: int = 1, environment: dict[str, str] | None = None) -> Iterator[RayNodes]:
    """A cluster with one node, the head; all of it is gone afterwards."""
    pytest.importorskip("ray", reason="needs the extra `scale`")
    paths = os.pathsep.join([str(ROOT), str(TESTS), os.environ.get("PYTHONPATH", "")])
    nodes = RayNodes(head_cpus=head_cpus, environment=_QUICK | {"PYTHONPATH": paths} | (environment or {}))
    try:
        yield nodes
    finally:
        import ray

        ray.shutdown()
        nodes.end()
