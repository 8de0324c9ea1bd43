"""Masks of AVSBench in files: folders of pictures as the datasets have them, arrays, and the colours of classes.

Shapes: T frames, H, W pixels.
"""

from __future__ import annotations

import logging
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.errors import DataError
from avis_data.features.arrays import load_npy
from avis_data.formats.avsbench import LayoutName
from avis_data.media.stills import UNREADABLE_PICTURE

__all__ = ["MaskFiles", "classes_of_colours", "label_of", "mask_files", "voc_colours"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFiles:
    """The masks of one clip: one array (in a file or in an `.npz`), or one picture per frame."""

    name: str
    """Of the clip."""
    files: tuple[Path, ...]
    key: str | None = None
    """Of its array in an `.npz`."""

    def load(self) -> np.ndarray:
        """The array, or the stacked pictures (T, H, W) or (T, H, W, 3). Raises DataError if they cannot be read."""
        try:
            return self._load()
        except (*UNREADABLE_PICTURE, KeyError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.files[0]}: clip {self.name}: cannot be read ({error})") from None

    def _load(self) -> np.ndarray:
        if self.key is not None:
            with np.load(self.files[0], allow_pickle=False) as archive:
                return np.asarray(archive[self.key])
        if self.files[0].suffix == ".npy":
            return load_npy(self.files[0])
        return np.stack([_picture(path) for path in self.files])


def mask_files(root: Path, keys: tuple[str, ...]) -> dict[str, MaskFiles]:
    """The masks of all clips below a folder, or in an `.npz` file, by the names of the clips.

    A clip is a folder of pictures, one per frame in the order of the number at the end of their names (the reference
    numbers frames from 1 and saved predictions from 0), or a file `<clip>.npy` (T, H, W); its name is its path below
    the root. In an `.npz` it is an array `<clip><key>`.

    Args:
        root: the folder or file.
        keys: how the names of arrays may end, as `_gt`.

    Example:
        >>> folder = Path("masks/dog1")
        >>> folder.mkdir(parents=True)
        >>> Image.new("L", (4, 3), 255).save(folder / "dog1_1.png")
        >>> found = mask_files(Path("masks"), ("_gt",))
        >>> list(found), found["dog1"].load().shape
        (['dog1'], (1, 3, 4))

    Raises:
        DataError: if there is no such file or folder, it cannot be read, or it holds no clip.
    """
    if root.is_dir():
        found = dict(_in_folder(root))
    elif root.is_file() and root.suffix == ".npz":
        try:
            with np.load(root, allow_pickle=False) as archive:
                names = list(archive.files)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"{root}: cannot be read as .npz ({error})") from None
        found = {
            clip: MaskFiles(name=clip, files=(root,), key=f"{clip}{key}")
            for name in names
            for key in keys
            if (clip := name.removesuffix(key)) != name
        }
    elif not root.exists():
        raise DataError(f"{root}: no such file or folder")
    else:
        raise DataError(f"{root}: must be a folder of masks or an .npz file")
    if not found:
        raise DataError(
            f"{root}: holds no clip",
            hint="a folder with one PNG per frame per clip, <clip>.npy files, or an .npz with "
            + ", ".join(f"<clip>{key}" for key in keys),
        )
    return found


def label_of(path: Path, layout: LayoutName, num_classes: int) -> NDArray[np.uint8]:
    """A mask as it is stored: 1 where something sounds, or (AVSS) the class of each pixel; uint8 (h, w).

    Args:
        path: the picture.
        layout: of the dataset.
        num_classes: of AVSS, the background included; the others have no classes.

    Example:
        >>> Image.new("L", (3, 1), 255).save("dog1_1.png")
        >>> label_of(Path("dog1_1.png"), "s4", 2)
        array([[1, 1, 1]], dtype=uint8)

    Raises:
        DataError: if the file is no picture.
    """
    try:
        with Image.open(path) as picture:
            if layout == "avss":
                colours = np.asarray(picture.convert("RGB"))
                classes: NDArray[np.uint8] = classes_of_colours(colours[None], num_classes)[0].astype(np.uint8)
                return classes
            grey = np.asarray(picture.convert("L") if picture.mode != "P" else picture)
    except UNREADABLE_PICTURE as error:
        raise DataError(f"{path}: no picture ({error})") from None
    if not set(np.unique(grey).tolist()) <= {0, 1, 255}:
        _warn_grey(path.parent)
    inside: NDArray[np.uint8] = (grey > 0).astype(np.uint8)
    return inside


def classes_of_colours(colours_THW3: np.ndarray, num_classes: int) -> np.ndarray:
    """The class of each pixel, int (T, H, W), by PASCAL VOC's colours; an unknown colour is class 0.

    Example:
        >>> classes_of_colours(np.array([[[[0, 0, 0], [128, 0, 0], [0, 128, 0], [1, 2, 3]]]]), 71)
        array([[[0, 1, 2, 0]]])
    """
    if colours_THW3.shape[-1] != 3:
        return colours_THW3
    codes = colours_THW3.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    palette = voc_colours(num_classes) @ np.array([1 << 16, 1 << 8, 1])
    order = np.argsort(palette)
    place = np.minimum(np.searchsorted(palette[order], codes), num_classes - 1)
    classes: np.ndarray = np.where(palette[order][place] == codes, order[place], 0)
    return classes


def voc_colours(number: int) -> np.ndarray:
    """PASCAL VOC's colour map: the bits of a class, three at a time, go to red, green and blue from the top down.

    Example:
        >>> voc_colours(3).tolist()
        [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    """
    classes = np.arange(number)
    bits = [[(classes >> (3 * place + channel) & 1) << (7 - place) for place in range(8)] for channel in range(3)]
    colours: np.ndarray = np.array(bits).sum(axis=1).T
    return colours


def _in_folder(root: Path) -> Iterator[tuple[str, MaskFiles]]:
    pictures: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.suffix == ".npy":
            name = relative.with_suffix("").as_posix()
            yield name, MaskFiles(name=name, files=(path,))
        elif path.suffix == ".png":
            pictures.setdefault(relative.parent.as_posix(), []).append(path)
    for name, paths in pictures.items():
        yield name, MaskFiles(name=name, files=tuple(sorted(paths, key=_frame_number)))


def _frame_number(path: Path) -> tuple[int, str]:
    digits = re.search(r"(\d+)$", path.stem)
    return (int(digits[1]) if digits else -1, path.name)


def _picture(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        if picture.mode in ("1", "L", "P"):
            return np.asarray(picture.convert("L") if picture.mode == "1" else picture)
        return np.asarray(picture.convert("RGB"))


@cache
def _warn_grey(folder: Path) -> None:
    logger.warning("masks hold values other than 0 and 255 (or 1), all above 0 taken as sounding folder=%s", folder)
