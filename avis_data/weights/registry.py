"""The user's registry of model weight files: where they lie and which bytes they are. Nothing is ever downloaded."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from avis_data.config import validated
from avis_data.errors import AvisError, ConfigError, DataError, ToolError
from avis_data.io import read_json, write_json
from avis_data.paths import data_home
from avis_data.records import Record, Sha256
from avis_data.weights.files import check_sha256, read_tensors
from avis_data.weights.known import KNOWN, KnownWeights, WeightKind, known_by_file_name, known_by_name

__all__ = ["RegisteredWeights", "find", "problem_with", "register", "registered", "resolve_vggish"]


class RegisteredWeights(Record):
    """One weight file of this user; an entry of `weights.json`."""

    name: str
    kind: WeightKind
    path: str = Field(description="Absolute; the file stays where the user put it.")
    sha256: Sha256
    size_bytes: int = Field(gt=0)


class _Registry(Record):
    weights: list[RegisteredWeights]


def registered() -> list[RegisteredWeights]:
    """All registered weight files, by name; the files may have gone since (`problem_with`).

    Raises:
        DataError: if `weights.json` is damaged.
    """
    path = _registry_path()
    return validated(_Registry, read_json(path), where=str(path)).weights if path.exists() else []


def register(path: Path, name: str | None = None) -> RegisteredWeights:
    """Check a weight file and remember it under its name; an earlier one of the same name is replaced.

    Args:
        path: the file; it is not copied.
        name: one of `avis-data weights list`; None: told by the file's published name.

    Raises:
        ConfigError: if the name is not known, or cannot be told from the file's.
        DataError: if the file is missing, torn, holds code, is not the published one whose name it has, or (VGGish)
            holds other tensors than it must.
    """
    from filelock import FileLock

    known = _known(path, name)
    sha256 = _checked(path, known)
    absolute = path.resolve()
    entry = RegisteredWeights(
        name=known.name, kind=known.kind, path=str(absolute), sha256=sha256, size_bytes=absolute.stat().st_size
    )
    data_home().mkdir(parents=True, exist_ok=True)
    with FileLock(_registry_path().with_suffix(".lock")):
        others = [other for other in registered() if other.name != entry.name]
        registry = _Registry(weights=sorted([*others, entry], key=lambda weights: weights.name))
        write_json(_registry_path(), registry.model_dump(mode="json"))
    return entry


def find(name: str) -> RegisteredWeights | None:
    """The registered file of that name, else the first of that kind (`vggish` finds either published layout)."""
    entries = registered()
    return next((entry for entry in entries if entry.name == name), None) or next(
        (entry for entry in entries if entry.kind == name), None
    )


def problem_with(entry: RegisteredWeights) -> str | None:
    """What is wrong with a registered file now (it has gone, or other bytes are there); None if it is as it was."""
    try:
        check_sha256(Path(entry.path), expected=entry.sha256)
    except DataError as error:
        return error.args[0] if isinstance(error.args[0], str) else str(error)
    return None


def resolve_vggish(weights: Path | None, *, untrained: bool, seed: int = 0) -> tuple[Path | None, str]:
    """Which VGGish weights to embed with: a file given, else the registered one; or, only if asked, random ones.

    Returns:
        The file and its SHA-256; None and `untrained-<seed>` for random weights.

    Raises:
        ConfigError: if both a file and random weights are asked for.
        ToolError: if there are no weights; says where they are had and what the options are.
        DataError: if the file is not VGGish, not what its name or the registry says, torn, or holds code.
    """
    if untrained:
        if weights is not None:
            raise ConfigError("--weights and --untrained exclude each other")
        return None, f"untrained-{seed}"
    if weights is not None:
        return weights.resolve(), _checked(weights, _known(weights, "vggish"))
    entry = find("vggish")
    if entry is None:
        raise _no_vggish()
    if problem := problem_with(entry):
        raise DataError(problem, hint=f"avis-data weights add FILE --as {entry.name}")
    return Path(entry.path), entry.sha256


def _no_vggish() -> AvisError:
    places = "\n".join(f"  {known.file_name}: {known.page}" for known in KNOWN if known.kind == "vggish")
    return ToolError(
        f"no VGGish weights. Download one of\n{places}",
        hint="avis-data weights add FILE (once), or --weights FILE; --untrained takes random weights, for tests only",
    )


def _known(path: Path, name: str | None) -> KnownWeights:
    known = known_by_file_name(path.name) if name is None else known_by_name(name)
    if known is None:
        names = ", ".join(entry.name for entry in KNOWN)
        what = f"no weights are called {name!r}" if name else f"{path.name}: no published file has this name"
        raise ConfigError(f"{what}; there are: {names}", hint="avis-data weights add FILE --as NAME")
    return known


def _checked(path: Path, known: KnownWeights) -> str:
    sha256 = check_sha256(path)
    start = known.sha256_start
    if start and path.name == known.file_name and not sha256.startswith(start):
        raise DataError(
            f"{path}: the published {known.file_name} has a SHA-256 that starts with {start[:16]}, this one {sha256}",
            hint=f"download it again: {known.page}",
        )
    tensors = read_tensors(path)
    if known.kind == "vggish":
        from avis_data.features.vggish import vggish_state

        vggish_state(tensors, where=str(path))
    return sha256


def _registry_path() -> Path:
    return data_home() / "weights.json"
