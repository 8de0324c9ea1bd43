"""A Ray cluster as we need it: joining it, telling in words why that fails, and which of its nodes may work.

A node may work when it runs the same program as this machine and sees the workspace: else the bytes of a dataset would
depend on where an item was done.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import platform
import re
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import avis_data
from avis_data.errors import ToolError
from avis_data.extras import need_extra
from avis_data.io import remove
from avis_data.media.ffmpeg import find_ffmpeg
from avis_data.pipelines.engine.executors.ray_joining import answers, host_and_port, join
from avis_data.pipelines.engine.progress import say

__all__ = ["Nodes", "RayCluster", "this_node"]

logger = logging.getLogger(__name__)

_HEAD_GONE_S = 30.0
"""Ray itself ends a process that has not reached the head for 60 s, without a word of ours."""
_LOOK_EVERY_S = 2.0
_FIRST_ANSWERS_S = 60.0
"""So long the first item waits for a node that is slow to answer, if another one is there."""
_SILENT_S = 60.0
"""A node that has not answered for so long is told of."""
_ALL_SILENT_S = 300.0
"""Where no node answers for so long there is nobody to work."""


@dataclass(frozen=True, kw_only=True)
class _Node:
    """A node that is up, as Ray tells of it."""

    name: str
    address: tuple[str, int]
    cpus: float
    gpus: float


def this_node() -> str:
    """The id of the node that a task or an actor of Ray is on."""
    need_extra("scale", what="--executor ray")
    import ray

    return str(ray.get_runtime_context().get_node_id())


class RayCluster:
    """The cluster at an address; None: where `RAY_ADDRESS` says, else one of our own on this machine.

    Raises:
        ToolError: if there is none, it does not let us in, or it runs another Ray or Python.
    """

    def __init__(self, address: str | None) -> None:
        need_extra("scale", what="--executor ray")
        import ray

        self.ray: Any = ray
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"
        self._joined = not ray.is_initialized()
        self.is_own = self._joined and self._address == "local"
        if self._joined:
            join(ray, self._address)
        self._keep_quiet()
        self._head_seen = time.monotonic()
        self._remember()

    def _keep_quiet(self) -> None:
        """What Ray has to say of nodes goes to the log: it would print it into our own output."""
        worker = self.ray._private.worker
        worker.print_to_stdstream = lambda data, **_: logger.debug("ray: %s", "\n".join(data["lines"]))

    def _remember(self) -> None:
        context = self.ray.get_runtime_context()
        self._node_id = context.get_node_id()
        self._through_proxy = self._address.startswith("ray://")
        self._head = None if self._through_proxy else host_and_port(context.gcs_address)

    def rejoin(self) -> None:
        """Join anew, by another node of this machine. All workers and references of before are lost."""
        self.ray.shutdown()
        join(self.ray, self._address)
        self._keep_quiet()
        self._remember()

    def leave(self) -> None:
        """Leave it; one of our own ends."""
        if self._joined:
            self.ray.shutdown()

    def head_answers(self) -> bool:
        """Whether the cluster can be asked anything now; else each question to Ray would hang.

        Raises:
            ToolError: if the head has been gone for long.
        """
        if self._head is None or answers(self._head):
            self._head_seen = time.monotonic()
            return True
        if time.monotonic() - self._head_seen > _HEAD_GONE_S:
            host, port = self._head
            raise ToolError(
                f"the head of the Ray cluster ({host}:{port}) is gone; what was done is kept",
                hint="start the cluster again, then run the command again",
            )
        return False

    def nodes(self) -> dict[str, _Node]:
        """The nodes that are up, by their ids."""
        return {
            node["NodeID"]: _Node(
                name=f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}:{node['NodeManagerPort']})",
                address=(node["NodeManagerAddress"], node["NodeManagerPort"]),
                cpus=node["Resources"].get("CPU", 0.0),
                gpus=node["Resources"].get("GPU", 0.0),
            )
            for node in self.ray.nodes()
            if node["Alive"]
        }

    def hangs_on(self, nodes: dict[str, _Node]) -> bool:
        """Whether the node that this process belongs to is one of these."""
        return self._through_proxy or self._node_id in nodes


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What the bytes may depend on, on one machine."""

    versions: dict[str, str]
    sees_workspace: bool = True


@dataclass(kw_only=True)
class Nodes:
    """Which nodes are up, and which of them may work. Each is looked at before it gets its first item."""

    cluster: RayCluster
    stage: str
    folder: Path
    """In the workspace, of no item, as that is removed with its item; every node that shares it must see it."""
    share_workspace: bool = True
    """False: what a node needs it fetches from the workspace's bucket."""
    up: dict[str, _Node] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Node id to why it may not work."""
    full: set[str] = field(default_factory=set)
    """Nodes that get no work while another one has room: their disk is full."""
    _fit: set[str] = field(default_factory=set)
    _asked: dict[Any, str] = field(default_factory=dict)
    _asked_at: dict[str, float] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    """Nodes of which it was said that they do not answer."""
    _known: dict[str, _Node] = field(default_factory=dict)
    _looked_at: float = 0.0

    def __post_init__(self) -> None:
        self._here = _facts(None)
        self._token = self.folder / f"out-seen-{uuid.uuid4().hex}"  # as leftovers are named, which a later run removes
        if not self.cluster.is_own:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._token.write_text(self._token.name)

    def close(self) -> None:
        """Remove what was written."""
        with suppress(OSError):
            remove(self.folder)

    def look(self) -> None:
        """See which nodes are up, ask new ones what they run, and take the answers.

        Raises:
            ToolError: if none has answered for long.
        """
        if time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self.up = self.cluster.nodes()
            self._known |= self.up
            self._looked_at = time.monotonic()
            for node_id in self.up:
                self._ask(node_id)
        for reference, node_id in list(self._asked.items()):
            self._take(reference, node_id)
        self._tell_silent()

    def forget_questions(self) -> None:
        """After joining anew: the answers that are outstanding will not come."""
        self._asked.clear()
        self._looked_at = 0.0

    def await_first(self) -> None:
        """Have all nodes answer that are up now; one that is slow to answer is waited for only if it is the only one.

        Raises:
            ToolError: if one of them runs something else than this machine, with the list of all differences.
        """
        until = time.monotonic() + _FIRST_ANSWERS_S
        self._looked_at = 0.0
        self.look()
        while self._asked and (time.monotonic() < until or not (self._fit or self.refused)):
            self.cluster.ray.wait(list(self._asked), num_returns=len(self._asked), timeout=0.5)
            if self.cluster.head_answers():
                self.look()
        wrong = [f"  {self.name(node_id)}: {why}" for node_id, why in self.refused.items() if node_id in self.up]
        if wrong:
            raise ToolError(
                "\n".join(["nodes of the Ray cluster do not run what this machine runs:", *wrong]),
                hint="install the same on all of them (docs/cluster.md), or take these nodes out of the cluster",
            )

    def may_work(self, node_id: str) -> bool | None:
        """Whether it may; None while it has not answered."""
        return False if node_id in self.shunned else (node_id in self._fit or None)

    @property
    def shunned(self) -> set[str]:
        """The nodes that get no work; with them those that long have not answered, where another one has."""
        silent = self._told & set(self._asked.values()) if self._fit & self.up.keys() else set()
        return self.refused.keys() | self.full | silent

    def name(self, node_id: str) -> str:
        """For people."""
        return self._known[node_id].name if node_id in self._known else node_id[:8]

    def lives(self, node_id: str) -> bool:
        """Whether the node answers right now; Ray itself notices seconds later that one is dead."""
        return node_id in self.up and answers(self.up[node_id].address)

    def has_room(self, gpus: float) -> bool:
        """Whether a worker fits on a node that may work, once others make place."""
        return any(_fits(node, gpus) for node_id, node in self.up.items() if node_id not in self.shunned)

    def leave_out_full(self, node_id: str, why: str, *, gpus: float) -> bool:
        """Give a node whose disk is full no more work, and say so; False if no other one lives that has room."""
        if node_id in self.full:
            return True
        others = [other for other in self.up if other != node_id and other not in self.shunned]
        if not any(_fits(self.up[other], gpus) and self.lives(other) for other in others):
            return False
        say(self.stage, f"a node of the Ray cluster is left out: {self.name(node_id)}: {why}")
        self.full.add(node_id)
        return True

    def take_back_full(self, *, gpus: float) -> bool:
        """Whether no other node is left, so that they may work: an item that finds the disk full ends the run then."""
        if not self.full or self.has_room(gpus):
            return False
        self.full.clear()
        return True

    def _ask(self, node_id: str) -> None:
        if node_id in self._fit or node_id in self.refused or node_id in self._asked.values():
            return
        if self.cluster.is_own:
            self._fit.add(node_id)
            return
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node_id, soft=False)
        token = str(self._token) if self.share_workspace else None
        task = self.cluster.ray.remote(num_cpus=0, max_retries=0)(_facts)
        self._asked[task.options(scheduling_strategy=there).remote(token)] = node_id
        self._asked_at[node_id] = time.monotonic()

    def _tell_silent(self) -> None:
        now = time.monotonic()
        silent = {node_id: now - self._asked_at[node_id] for node_id in self._asked.values() if node_id in self.up}
        for node_id in [one for one, since_s in silent.items() if since_s > _SILENT_S and one not in self._told]:
            self._told.add(node_id)
            name = self.name(node_id)
            say(self.stage, f"a node of the Ray cluster gets no work, as it does not say what it runs: {name}")
        if silent and not self._fit & self.up.keys() and min(silent.values()) > _ALL_SILENT_S:
            names = ", ".join(map(self.name, silent))
            raise ToolError(
                f"no node of the Ray cluster has said for {min(silent.values()):.0f} s what it runs ({names}); "
                "what was done is kept",
                hint="avis-data doctor on them, and ray status; then run the command again",
            )

    def _take(self, reference: Any, node_id: str) -> None:
        ready, _ = self.cluster.ray.wait([reference], timeout=0)
        if not ready:
            return
        del self._asked[reference]
        try:
            why = _differences(self._here, self.cluster.ray.get(reference))
        except self.cluster.ray.exceptions.RayError as error:
            if not self.lives(node_id):
                return
            words = str(error).strip().splitlines()
            why = f"cannot run avis-data: {words[-1].strip() if words else type(error).__name__}"
        if not why:
            self._fit.add(node_id)
            return
        self.refused[node_id] = why
        if self._fit:  # the run goes on without it
            say(self.stage, f"a node of the Ray cluster is left out: {self.name(node_id)}: {why}")


def _fits(node: _Node, gpus: float) -> bool:
    return node.cpus >= 1 and node.gpus >= gpus


def _facts(token: str | None) -> _Facts:
    """Gather them, on this machine or, as a task, on another one."""
    versions = {"Python": platform.python_version(), "avis-data": f"{avis_data.__version__} ({_hash_of_code()})"}
    for name in sorted(_packages()):
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    with suppress(ToolError):
        versions["ffmpeg"] = find_ffmpeg().version
    if token is None:
        return _Facts(versions=versions)
    try:
        seen = Path(token).read_text() == Path(token).name and os.access(Path(token).parent, os.W_OK)
    except OSError:
        seen = False
    return _Facts(versions=versions, sees_workspace=seen)


def _packages() -> set[str]:
    """Those that the program cannot do without, and Ray."""
    try:
        needed = importlib.metadata.requires("avis-data") or []
    except importlib.metadata.PackageNotFoundError:  # it runs from its source, and nobody says what it needs
        needed = []
    return {re.split(r"[^\w.-]", one, maxsplit=1)[0] for one in needed if "extra ==" not in one} | {"ray"}


def _hash_of_code() -> str:
    """Of all modules: two checkouts may have the same version."""
    digest = hashlib.sha256()
    top = Path(avis_data.__file__).parent
    for folder, below, names in os.walk(top, followlinks=True):
        below.sort()
        for name in sorted(names):
            if name.endswith(".py"):
                path = Path(folder, name)
                digest.update(path.relative_to(top).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]


def _differences(here: _Facts, there: _Facts) -> str:
    """What differs, in words; empty where nothing does."""
    found = [
        f"{name} {there.versions.get(name, 'missing')} instead of {here.versions.get(name, 'none')}"
        for name in sorted(here.versions.keys() | there.versions.keys())
        if here.versions.get(name) != there.versions.get(name)
    ]
    return ", ".join(
        [*found, *([] if there.sees_workspace else ["does not see the workspace, or may not write to it"])]
    )
