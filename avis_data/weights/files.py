"""Weight files read safely: tensors only, never code, and the hash that a file's name promises."""

from __future__ import annotations

import hashlib
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avis_data.errors import DataError
from avis_data.io import sha256_file, sha256_tree
from avis_data.weights.source import WeightFile

if TYPE_CHECKING:
    import torch

__all__ = ["check_published", "check_sha256", "hash_in_name", "read_metadata", "read_tensors"]

_NAME_HASH = re.compile(r"-([0-9a-f]{8,64})\.(?:pth|pt|safetensors)$")
_NESTED = ("model", "state_dict", "model_state_dict")
"""Under these keys training scripts keep the tensors when they save more beside them."""


def hash_in_name(path: Path) -> str | None:
    """The start of the SHA-256 that a name like `vggish-10086976.pth` promises; None where it promises nothing."""
    match = _NAME_HASH.search(path.name)
    return match[1] if match else None


def check_sha256(path: Path, *, expected: str | None = None) -> str:
    """The file's SHA-256, which must be `expected` (where given) and start as the name says (where it says so).

    Of a folder it is that of its tree (`avis_data.io.sha256_tree`).

    Raises:
        DataError: if it cannot be read or has another hash.
    """
    try:
        found = sha256_tree(path) if path.is_dir() else sha256_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if expected is not None and found != expected:
        raise DataError(f"{path}: has SHA-256 {found}, must have {expected}: it is another file or was changed")
    promised = hash_in_name(path)
    if promised is not None and not found.startswith(promised):
        raise DataError(
            f"{path}: its name promises a SHA-256 that starts with {promised}, it has {found}",
            hint="download it again; if it is your own file, give it a name that does not end in a hash",
        )
    return found


def check_published(path: Path, file: WeightFile) -> None:
    """Compare a file with what is published of it.

    Raises:
        DataError: if it cannot be read, or its length or its hash is another.
    """
    try:
        size = path.stat().st_size
        if file.size_bytes is not None and size != file.size_bytes:
            raise DataError(f"{file.name} has {size:,} bytes, the published one {file.size_bytes:,}")
        for kind, start in (("sha256", file.sha256_start), ("md5", file.md5_start)):
            found = _digest(path, kind) if start is not None else ""
            if not found.startswith(start or ""):
                said = f"the published {file.name} has one that starts with {start}"
                raise DataError(f"{file.name} has {kind.upper()} {found}, {said}: it is another file, or damaged")
    except OSError as error:
        raise DataError(f"{file.name} cannot be read ({error.strerror})") from None


def _digest(path: Path, kind: str) -> str:
    if kind == "sha256":
        return sha256_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a weight file by name, on the CPU; they may be views of the file.

    Args:
        path: `.safetensors`, a PyTorch file (`.pth`, `.pt`) that holds nothing but tensors and plain values, or a
            pickle of numpy arrays (`.pkl`, as detectron2 publishes them);
            one level of `{"model": ...}` or `{"state_dict": ...}` is looked through.

    Raises:
        DataError: if the file is missing or torn, holds code (nothing of it is run), no named tensors, or NaN.
    """
    readers = {".safetensors": _read_safetensors, ".pkl": _read_arrays}
    content: object = readers.get(path.suffix, _read_pytorch)(path)
    for key in _NESTED:
        inner = content.get(key) if isinstance(content, Mapping) else None
        if isinstance(inner, Mapping):
            content = inner
            break
    tensors = _named_tensors(content)
    if not tensors:
        raise DataError(f"{path}: holds no named tensors", hint="it must be what `model.state_dict()` gives")
    bad = [name for name, tensor in tensors.items() if tensor.is_floating_point() and bool(tensor.isnan().any())]
    if bad:
        raise DataError(f"{path}: {len(bad)} tensor(s) hold NaN, the first is {bad[0]}", hint="its training went wrong")
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """What a `.safetensors` file says of itself; empty for a file of another kind.

    Raises:
        DataError: if the file is missing or torn.
    """
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: cannot be read as safetensors ({error})") from None


def _named_tensors(content: object) -> dict[str, torch.Tensor]:
    import torch

    if not isinstance(content, Mapping):
        return {}
    return {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
        return tensors
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: cannot be read as safetensors ({error})") from None


def _read_arrays(path: Path) -> object:
    import torch

    from avis_data.weights.pickles import ForbiddenPickleError, read_pickle

    try:
        content = read_pickle(path)
    except ForbiddenPickleError as error:
        raise _code_inside(path, str(error)) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # a torn pickle makes the standard library raise nearly anything
        raise DataError(f"{path}: no pickle of arrays, or damaged; download it again ({error!s:.120})") from None

    def tensors(values: Mapping[object, object]) -> dict[object, object]:
        arrays = ((key, value) for key, value in values.items() if isinstance(value, np.ndarray))
        ready = {key: torch.from_numpy(value.astype(value.dtype.newbyteorder("="))) for key, value in arrays}
        return {**values, **ready}

    if not isinstance(content, Mapping):
        return content
    return tensors({key: tensors(value) if isinstance(value, Mapping) else value for key, value in content.items()})


def _read_pytorch(path: Path) -> object:
    import torch

    try:
        if _is_other_pickle(path):
            raise _code_inside(path)
        # Only the zip form of the last years can be mapped; the older one is read whole.
        content: object = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        return content
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower():  # how torch names any class or function that is not on its short list
            raise _code_inside(path) from None
        raise DataError(f"{path}: no PyTorch weight file, or damaged; download it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (RuntimeError, EOFError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        # torch.load has no error of its own for torn files; these are what it was seen to raise.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: no PyTorch weight file, or damaged; download it again ({reason:.120})") from None


def _is_other_pickle(path: Path) -> bool:
    """A pickle not written by torch.save, whose older form is one of protocol 2."""
    with path.open("rb") as file:
        head = file.read(2)
    return len(head) == 2 and head[0] == 0x80 and head[1] != 2


def _code_inside(path: Path, what: str = "") -> DataError:
    return DataError(
        f"{path}: holds Python code or objects besides tensors{what and f' ({what})'}; refused, "
        "and nothing of it was run",
        hint="where the file comes from: torch.save(model.state_dict(), 'NAME.pth'), or save as .safetensors",
    )
