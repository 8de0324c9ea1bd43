"""Checks of the machine: what is there, what is missing, what is broken, and what to do about it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

from avis_data.errors import AvisError
from avis_data.platforms import WINDOWS_ADVICE

__all__ = ["Check", "Health", "examine", "platform_check"]

_OLD_DOWNLOADER_DAYS = 90
_LITTLE_DISK_BYTES = 20 * 10**9


class Health(StrEnum):
    """How bad it is. Only `bad` stops something from working."""

    GOOD = "good"
    OPTIONAL = "optional"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing looked at."""

    name: str
    health: Health
    found: str
    advice: str | None = None
    """What to do; a command where there is one."""

    def as_dict(self) -> dict[str, str | None]:
        """What `--json` prints."""
        return {"name": self.name, "health": self.health.value, "found": self.found, "advice": self.advice}


def examine(folder: Path, label_studio_url: str | None = None) -> list[Check]:
    """Look at this machine and at the disk under `folder`; nothing is changed, and the network is not used but for
    a Label Studio server that is named."""
    checks: list[Callable[[], Check]] = [
        _python,
        _platform,
        _ffmpeg,
        _ffmpeg_options,
        _downloader,
        _javascript,
        _torch,
        _torchvision,
        _transformers,
        _numpy,
        _opencv,
        _ray,
        _weights,
        lambda: _disk(folder),
        lambda: _label_studio(label_studio_url),
    ]
    return [check() for check in checks]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check(name="python", health=Health.GOOD, found=version)


def _platform() -> Check:
    return platform_check(sys.platform, platform.platform(terse=True))


def platform_check(system: str, found: str) -> Check:
    """What works on a system, of which Linux is the one that is tested.

    Args:
        system: as `sys.platform` names it.
        found: its name and version, for people.
    """
    name = "platform"
    if system == "win32":
        text = f"{found}: downloading, extracting, labelling and exporting need Linux or macOS"
        return Check(name=name, health=Health.BAD, found=text, advice=WINDOWS_ADVICE)
    if system != "linux":
        advice = "where a command was killed (kill -9), look for its ffmpeg and workers with ps, and end them"
        return Check(name=name, health=Health.WARNING, found=f"{found}: only Linux is tested", advice=advice)
    return Check(name=name, health=Health.GOOD, found=found)


def _ffmpeg() -> Check:
    from avis_data.media.ffmpeg import find_ffmpeg

    try:
        ffmpeg = find_ffmpeg()
    except AvisError as error:
        return Check(name="ffmpeg", health=Health.BAD, found=str(error), advice="pip install imageio-ffmpeg")
    probe = shutil.which("ffprobe")
    return Check(
        name="ffmpeg",
        health=Health.GOOD,
        found=f"{ffmpeg.version} at {ffmpeg.program}; ffprobe {'there' if probe else 'not there (not needed)'}",
    )


def _ffmpeg_options() -> Check:
    from avis_data.media.ffmpeg import find_ffmpeg

    name = "ffmpeg encoders"
    try:
        program = find_ffmpeg().program
    except AvisError:
        return Check(name=name, health=Health.BAD, found="no ffmpeg", advice="see above")
    command = [program, "-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc=s=64x64:d=0.2"]
    command += ["-fps_mode", "passthrough", "-c:v", "libx264", "-f", "null", "-"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["no message"])[-1]
        advice = "use ffmpeg 5.1 or newer with libx264, or set AVIS_DATA_FFMPEG to one"
        return Check(name=name, health=Health.BAD, found=last, advice=advice)
    return Check(name=name, health=Health.GOOD, found="-fps_mode and libx264 work")


def _downloader() -> Check:
    version = importlib.metadata.version("yt-dlp")
    released = date(*map(int, version.split(".")[:3]))
    age_days = (datetime.now(UTC).date() - released).days
    if age_days > _OLD_DOWNLOADER_DAYS:
        advice = "pip install --upgrade yt-dlp: sites change, and old versions fail"
        return Check(name="yt-dlp", health=Health.WARNING, found=f"{version}, {age_days} days old", advice=advice)
    return Check(name="yt-dlp", health=Health.GOOD, found=f"{version}, {age_days} days old")


def _javascript() -> Check:
    found = [name for name in ("deno", "node", "bun", "qjs") if shutil.which(name)]
    solver = importlib.util.find_spec("yt_dlp_ejs") is not None
    if "deno" in found and solver:
        return Check(name="youtube", health=Health.GOOD, found="deno and yt-dlp-ejs are there")
    has = ", ".join([*found, *(["yt-dlp-ejs"] if solver else [])]) or "neither a runtime nor yt-dlp-ejs"
    advice = "only for YouTube: pip install 'avis-data[youtube]'"
    return Check(name="youtube", health=Health.OPTIONAL, found=has, advice=advice)


def _torch() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check(name="torch", health=Health.GOOD, found=f"{torch.__version__}, {torch.cuda.get_device_name()}")
    build = "CUDA build, no GPU seen" if torch.version.cuda else "CPU build"
    return Check(name="torch", health=Health.GOOD, found=f"{torch.__version__}, {build}")


def _torchvision() -> Check:
    if importlib.util.find_spec("torchvision") is None:
        return Check(name="torchvision", health=Health.GOOD, found="not installed (not needed)")
    try:
        module = importlib.import_module("torchvision")
    except (ImportError, OSError, RuntimeError) as error:
        advice = "pip uninstall torchvision: a broken one also breaks the models of transformers"
        return Check(name="torchvision", health=Health.BAD, found=f"broken: {error}", advice=advice)
    return Check(name="torchvision", health=Health.GOOD, found=f"{module.__version__}")


def _transformers() -> Check:
    return _package("transformers", "for annotation and training: pip install 'avis-data[annotate,train]'")


def _ray() -> Check:
    return _package("ray", "for clusters: pip install 'avis-data[scale]'")


def _package(name: str, advice: str) -> Check:
    try:
        return Check(name=name, health=Health.GOOD, found=importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name=name, health=Health.OPTIONAL, found="not installed", advice=advice)


def _numpy() -> Check:
    return _package("numpy", "pip install numpy")


def _opencv() -> Check:
    names = ["opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"]
    found = [name for name in names if _is_installed(name)]
    if len(found) > 1:
        advice = f"keep one: pip uninstall {' '.join(found[1:])}; they overwrite each other's files"
        return Check(name="opencv", health=Health.WARNING, found=", ".join(found), advice=advice)
    return Check(name="opencv", health=Health.GOOD, found=found[0] if found else "not installed (not needed)")


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _weights() -> Check:
    from avis_data.weights import problem_with, registered

    try:
        entries = registered()
    except AvisError as error:
        return Check(name="weights", health=Health.BAD, found=str(error), advice="avis-data weights list")
    problems = [problem for entry in entries if (problem := problem_with(entry))]
    if problems:
        return Check(name="weights", health=Health.WARNING, found="; ".join(problems), advice="avis-data weights check")
    if not entries:
        advice = "avis-data weights list says which there are; avis-data weights get NAME fetches them"
        return Check(name="weights", health=Health.OPTIONAL, found="none registered", advice=advice)
    return Check(name="weights", health=Health.GOOD, found=", ".join(entry.name for entry in entries))


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free"
    if free < _LITTLE_DISK_BYTES:
        advice = "a clip of a minute needs about 15 MB, its source video more"
        return Check(name="disk", health=Health.WARNING, found=found, advice=advice)
    return Check(name="disk", health=Health.GOOD, found=found)


def _label_studio(url: str | None) -> Check:
    name = "label studio"
    if url is None:
        return Check(
            name=name, health=Health.OPTIONAL, found="not asked", advice="avis-data doctor --label-studio-url URL"
        )
    if not url.startswith(("http://", "https://")):
        return Check(name=name, health=Health.BAD, found=f"{url}: no http(s) address", advice="give http://host:port")
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=5) as answer:
            return Check(name=name, health=Health.GOOD, found=f"{url} answers {answer.status}")
    except (urllib.error.URLError, OSError, ValueError) as error:
        advice = "start it: label-studio start, or docker compose up"
        return Check(name=name, health=Health.BAD, found=f"{url}: {error}", advice=advice)
