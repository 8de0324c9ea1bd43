"""A small synthetic world that a server serves, and workspaces whose videos are fetched from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.server import MediaServer
from support.shell import avis_data

__all__ = ["fetched", "served_world", "well"]

_WORLD = ("--num-clips", 4, "--seconds", 3, "--seed", 5, "--size", "96x64", "--video-fps", 6)


def well(*arguments: object, cwd: Path | None = None) -> None:
    """Run a command, which ends well."""
    ran = avis_data(*arguments, cwd=cwd)
    assert ran.code == 0, ran.err


@contextmanager
def served_world(root: Path) -> Iterator[str]:
    """Make `root/world`: four videos and their truth; gives the address under which they are served meanwhile."""
    with MediaServer(root / "world" / "media") as server:
        well("synth", *_WORLD, "-j", 1, "--out", root / "world", "--base-url", server.url("")[:-1])
        yield server.url("")


def fetched(root: Path, name: str, base: str, numbers: Sequence[int] = (0, 1, 2, 3)) -> Path:
    """The workspace `root/name`, for which these videos were fetched and extracted; `root/name.csv` is its list."""
    lines = (root / "world" / "videos.csv").read_text().splitlines()
    head, *rows = [line for line in lines if not line.startswith("#")]
    lead = rows[0].split(",")[0].rpartition("/")[0] + "/"
    listed = root / f"{name}.csv"
    listed.write_text("\n".join([head, *(rows[number].replace(lead, base) for number in numbers)]) + "\n")
    fetch = ["--list", listed, "--sleep", 0, "--allow-private-hosts", "-j", 1]
    well("-C", root / name, "fetch", *fetch, cwd=root)
    well("-C", root / name, "extract", "-j", 1, cwd=root)
    return root / name
