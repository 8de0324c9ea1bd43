"""Workspaces of a small world whose large files have a bucket as their home."""

from __future__ import annotations

import shutil
import tarfile
from io import BytesIO
from pathlib import Path

from avis_data.ledger import Ledger
from support.bucket import BUCKET, BucketServer
from support.shell import Ran, avis_data, tree_hashes

__all__ = [
    "bytes_in_bucket",
    "failures",
    "fetched",
    "made_workspace",
    "media_bytes",
    "other_bytes",
    "run",
    "run_arguments",
    "small_world",
    "without_media",
]

_RUN = ("run", "--untrained", "-j", 2)
_MEDIA = ("sources", "clips", "features/vggish/clips")


def small_world(root: Path) -> Path:
    """Three short videos and their list; gives the list."""
    made = ("synth", "--num-clips", 3, "--seconds", 3, "--seed", 3, "--size", "96x64", "--video-fps", 6)
    assert avis_data(*made, "-j", 1, "--out", root / "world").code == 0
    return root / "world" / "videos.csv"


def made_workspace(root: Path, videos: Path, server: BucketServer | None, *, more: str = "") -> Path:
    """The folder of a workspace that gets this list, nothing of it done yet."""
    root.mkdir()
    _list_of(root).write_text(videos.read_text().replace("media/", f"{videos.parent}/media/"))
    if server is not None:
        text = f"storage: s3://{BUCKET}/{root.name}\nendpoint_url: {server.url}\n{more}"
        (root / "storage.yaml").write_text(text)
    return root


def run(root: Path, *more: object) -> Ran:
    """Do the usual steps with the workspace's own list."""
    return avis_data(*run_arguments(root), *more)


def run_arguments(root: Path) -> tuple[object, ...]:
    """What does the usual steps with the workspace's own list."""
    return ("-C", root, *_RUN, "--list", _list_of(root), "--allow-local")


def fetched(root: Path) -> Ran:
    """Fetch the videos of the workspace's own list."""
    return avis_data("-C", root, "fetch", "-j", 2, "--list", _list_of(root), "--allow-local")


def _list_of(root: Path) -> Path:
    return root.with_name(f"{root.name}.csv")


def media_bytes(root: Path) -> dict[str, bytes]:
    """Every file of the places that have the bucket as their home, as it lies in the folder."""
    files = (file for place in _MEDIA for file in (root / place).rglob("*") if file.is_file())
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def bytes_in_bucket(server: BucketServer, root: Path) -> dict[str, bytes]:
    """The same files as the bucket has them, folders unpacked."""
    found: dict[str, bytes] = {}
    for key, data in server.objects(f"{root.name}/").items():
        name = key.removeprefix(f"{root.name}/")
        if not name.endswith(".tar"):
            found[name] = data
            continue
        with tarfile.open(fileobj=BytesIO(data)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                found[f"{name.removesuffix('.tar')}/{member.name}"] = file.read()
    return found


def other_bytes(root: Path) -> dict[str, str]:
    """Hashes of all files that stay in the folder but those that name the bucket."""
    named = ("storage.yaml", "manifest/ledger.jsonl")
    return {name: digest for name, digest in tree_hashes(root).items() if not name.startswith((*_MEDIA, *named))}


def without_media(root: Path, to: Path) -> Path:
    """The workspace as a fresh machine gets it: all but what the bucket has."""
    shutil.copytree(root, to, ignore=lambda folder, names: [name for name in names if name in (".tmp", ".lock")])
    for place in _MEDIA:
        shutil.rmtree(to / place)
    return to


def failures(root: Path) -> int:
    """Items that the ledger holds to be failed."""
    with Ledger(root / "ledger.sqlite", read_only=True) as ledger:
        stages = ("fetch", "extract", "embed", "pack")
        return sum(entry.state == "failed" for stage in stages for entry in ledger.entries(stage).values())
