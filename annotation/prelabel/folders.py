"""Models of transformers from a folder of their official layout: safetensors and settings, nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from avis_data.errors import DataError

__all__ = ["on_device", "read_folder"]


def read_folder(folder: Path, model: Any, processor: Any) -> tuple[Any, Any]:
    """A model and what prepares its input.

    Args:
        folder: config.json, model.safetensors, preprocessor_config.json, and for words the files of a tokenizer.
        model: the class of transformers, as `ClapModel`.
        processor: the same of its processor.

    Raises:
        DataError: if it is another model, or files or tensors are missing.
    """
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder}: no folder of {model.__name__}: it has no config.json")
    here = {"local_files_only": True, "trust_remote_code": False}
    try:
        found, loading = model.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **here)
        prepares = processor.from_pretrained(folder, **here)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{folder}: no folder of {model.__name__} ({said[:200]})") from None
    missing = sorted(loading["missing_keys"])
    if missing or found.config.model_type != model.config_class.model_type:
        shown = f"without {', '.join(missing[:3])}" if missing else f"it is a {found.config.model_type}"
        raise DataError(f"{folder}: no folder of {model.__name__} ({shown})")
    return found, prepares


def on_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
