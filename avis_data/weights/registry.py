"""The user's registry of model weights: where they lie and which bytes they are. Nothing is downloaded here."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from avis_data.config import validated
from avis_data.errors import AvisError, ConfigError, DataError, ToolError
from avis_data.io import read_json, write_json
from avis_data.paths import data_home
from avis_data.records import Record, Sha256
from avis_data.weights.files import check_published, check_sha256, read_tensors
from avis_data.weights.known import KNOWN, known_by_file_name, known_by_name, no_such_weights
from avis_data.weights.source import KnownWeights, WeightKind

__all__ = [
    "RegisteredWeights",
    "find",
    "path_of",
    "problem_with",
    "register",
    "registered",
    "resolve_vggish",
]


class RegisteredWeights(Record):
    """Weights of this user, a file or a folder of files; an entry of `weights.json`."""

    name: str
    kind: WeightKind
    path: str = Field(description="Absolute; what the user added stays where it was put.")
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
    files = [absolute] if len(known.files) == 1 else [absolute / file.name for file in known.files]
    entry = RegisteredWeights(
        name=known.name,
        kind=known.kind,
        path=str(absolute),
        sha256=sha256,
        size_bytes=sum(file.stat().st_size for file in files),
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


def path_of(name: str) -> Path:
    """The file (or the folder of files) of weights that were fetched or added, by their name or their kind.

    Example:
        >>> path_of("u2netp")  # doctest: +SKIP
        PosixPath('.../avis-data/weights/u2netp.onnx')

    Raises:
        ConfigError: if the table has none of that name or kind.
        ToolError: if there are none; names the command that fetches them.
        DataError: if other bytes are there than were registered.
    """
    entry = find(name)
    if entry is None:
        known = next((known for known in KNOWN if name in (known.name, known.kind)), None)
        if known is None:
            raise no_such_weights(name)
        said = f"the weights {known.name} are not here ({known.use})"
        raise ToolError(said, hint=f"avis-data weights get {known.name}")
    if problem := problem_with(entry):
        raise DataError(problem, hint=f"avis-data weights get {entry.name}")
    return Path(entry.path)


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
        ToolError: if there are no weights; names the command that fetches them, and the options.
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
        raise DataError(problem, hint=f"avis-data weights get {entry.name}")
    return Path(entry.path), entry.sha256


def _no_vggish() -> AvisError:
    return ToolError(
        "no VGGish weights",
        hint="avis-data weights get vggish (once), or --weights FILE; --untrained takes random weights, for tests only",
    )


def _known(path: Path, name: str | None) -> KnownWeights:
    known = known_by_file_name(path.name) if name is None else known_by_name(name)
    if known is not None:
        return known
    if name is not None:
        raise no_such_weights(name)
    raise ConfigError(f"{path.name}: no published file has this name", hint="avis-data weights add FILE --as NAME")


def _checked(path: Path, known: KnownWeights) -> str:
    """The hash of weights that hold what they must; what we do not read must be what was published."""
    sha256 = check_sha256(path)
    if known.is_opaque or path.name == known.file_name:
        try:
            for file in known.files:
                check_published(path if len(known.files) == 1 else path / file.name, file)
        except DataError as error:
            raise DataError(f"{path}: {error.args[0]}", hint=f"avis-data weights get {known.name}") from None
    if known.is_opaque:
        return sha256
    tensors = read_tensors(path)
    if known.kind == "vggish":
        from avis_data.features.vggish import vggish_state

        vggish_state(tensors, where=str(path))
    return sha256


def _registry_path() -> Path:
    return data_home() / "weights.json"
