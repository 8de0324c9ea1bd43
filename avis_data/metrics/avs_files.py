"""AVSBench truth and predictions from folders of masks, or from `.npz` files; everything wrong is collected."""

from __future__ import annotations

import logging
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from avis_data.errors import DataError, Problem
from avis_data.metrics.avs import AvsClip
from avis_data.metrics.avss import AvssClip, classes_of_logits

__all__ = ["AvsPair", "classes_of_colours", "load_avs_clip", "load_avss_clip", "pair_clips", "voc_colours"]

logger = logging.getLogger(__name__)
_TRUTH_KEYS, _SCORE_KEYS = ("_gt", "_label"), ("_logits",)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where the frames of one clip are: one array (in a file or in an `.npz`), or one picture per frame."""

    files: tuple[Path, ...]
    key: str | None = None

    def load(self) -> np.ndarray:
        """The array, or the stacked pictures (T, H, W) or (T, H, W, 3)."""
        if self.key is not None:
            with np.load(self.files[0], allow_pickle=False) as archive:
                return np.asarray(archive[self.key])
        if self.files[0].suffix == ".npy":
            return np.asarray(np.load(self.files[0], allow_pickle=False))
        return np.stack([_picture(path) for path in self.files])


@dataclass(frozen=True, slots=True, kw_only=True)
class AvsPair:
    """Truth and prediction of one clip, not yet read."""

    name: str
    truth: _Source
    predicted: _Source


def pair_clips(truth: Path, predictions: Path) -> tuple[list[AvsPair], list[Problem]]:
    """Find the clips on both sides.

    A clip is a folder of pictures, one per frame in the order of the number at the end of their names (the reference
    numbers frames from 1 and saved predictions from 0), or a file `<clip>.npy` (T, H, W); its name is its path below
    the root. Or both sides are `.npz` files with the arrays `<clip>_gt` or `<clip>_label`, and `<clip>_logits`.

    Raises:
        DataError: if a path does not exist or holds no clip.
    """
    found, predicted = _sources(truth, _TRUTH_KEYS), _sources(predictions, _SCORE_KEYS)
    problems = [
        Problem(str(predictions), "", f"no prediction for clip {name}") for name in found if name not in predicted
    ]
    problems += [
        Problem(str(predictions), "", f"clip {name} is not in {truth}") for name in predicted if name not in found
    ]
    pairs = [AvsPair(name=name, truth=found[name], predicted=predicted[name]) for name in found if name in predicted]
    return pairs, problems


def load_avs_clip(pair: AvsPair, *, are_logits: bool) -> AvsClip:
    """The clip as binary masks.

    Truth: anything above 0 is inside. Predictions: pictures hold probabilities x 255, arrays of bool or whole numbers
    0 and 1 masks, other arrays logits (or probabilities).

    Raises:
        DataError: if a file cannot be read, or shapes or values are not possible.
    """
    truth, scores = (_without_colour(_load(source, pair.name)) for source in (pair.truth, pair.predicted))
    _check_shapes(pair, truth, scores)
    if not set(np.unique(truth).tolist()) <= {0, 1, 255}:
        logger.warning("truth holds values other than 0 and 255 (or 1), all above 0 taken as inside clip=%s", pair.name)
    is_mask_picture = scores.dtype == np.uint8 and pair.predicted.files[0].suffix not in (".npy", ".npz")
    if is_mask_picture:
        scores, are_logits = scores.astype(np.float32) / 255, False
    elif scores.dtype.kind in "bui":
        if not np.isin(scores, (0, 1)).all():
            raise DataError(f"{pair.predicted.files[0]}: clip {pair.name}: whole numbers other than 0 and 1")
        are_logits = False
    if not np.isfinite(scores).all() or (not are_logits and ((scores < 0) | (scores > 1)).any()):
        kind = "finite logits" if are_logits else "probabilities in [0, 1]"
        raise DataError(f"{pair.predicted.files[0]}: clip {pair.name}: values are no {kind}")
    inside = truth if truth.dtype.kind == "f" and truth.max(initial=0) <= 1 else truth > 0
    return AvsClip(name=pair.name, truth_THW=inside, score_THW=scores, are_logits=are_logits)


def load_avss_clip(pair: AvsPair, *, num_classes: int) -> AvssClip:
    """The clip as one class per pixel.

    Pictures: grey values or palette indices are classes; colours are those of PASCAL VOC, an unknown one is class 0.
    Arrays: (T, H, W) classes, or for predictions (T, C, H, W) logits.

    Raises:
        DataError: if a file cannot be read, or shapes or classes are not possible.
    """
    label, predicted = _load(pair.truth, pair.name), _load(pair.predicted, pair.name)
    if label.ndim == 4:
        label = classes_of_colours(label, num_classes)
    if predicted.ndim == 4 and pair.predicted.files[0].suffix in (".npy", ".npz"):
        predicted = classes_of_logits(predicted)
    elif predicted.ndim == 4:
        predicted = classes_of_colours(predicted, num_classes)
    _check_shapes(pair, label, predicted)
    for source, array, lowest in ((pair.truth, label, -1), (pair.predicted, predicted, 0)):
        if array.size and (array.min() < lowest or array.max() >= num_classes):
            message = (
                f"classes {array.min()} to {array.max()}, must be in 0 to {num_classes - 1} (--classes {num_classes})"
            )
            raise DataError(f"{source.files[0]}: clip {pair.name}: {message}")
    return AvssClip(name=pair.name, label_THW=label.astype(np.int64), predicted_THW=predicted.astype(np.int64))


def _sources(root: Path, keys: tuple[str, ...]) -> Mapping[str, _Source]:
    if root.is_dir():
        found = dict(_folder_sources(root))
    elif root.is_file() and root.suffix == ".npz":
        try:
            with np.load(root, allow_pickle=False) as archive:
                names = list(archive.files)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"{root}: cannot be read as .npz ({error})") from None
        found = {
            name[: -len(key)]: _Source(files=(root,), key=name) for name in names for key in keys if name.endswith(key)
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


def _folder_sources(root: Path) -> Iterator[tuple[str, _Source]]:
    pictures: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.suffix == ".npy":
            yield relative.with_suffix("").as_posix(), _Source(files=(path,))
        elif path.suffix == ".png":
            pictures.setdefault(relative.parent.as_posix(), []).append(path)
    for name, paths in pictures.items():
        yield name, _Source(files=tuple(sorted(paths, key=_frame_number)))


def _frame_number(path: Path) -> tuple[int, str]:
    digits = re.search(r"(\d+)$", path.stem)
    return (int(digits[1]) if digits else -1, path.name)


def _load(source: _Source, name: str) -> np.ndarray:
    try:
        return source.load()
    except (OSError, ValueError, KeyError, EOFError, UnidentifiedImageError, zipfile.BadZipFile) as error:
        raise DataError(f"{source.files[0]}: clip {name}: cannot be read ({error})") from None


def _picture(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        if picture.mode in ("1", "L", "P"):
            return np.asarray(picture.convert("L") if picture.mode == "1" else picture)
        return np.asarray(picture.convert("RGB"))


def _without_colour(array: np.ndarray) -> np.ndarray:
    """Masks saved as colour pictures: the brightest channel."""
    if array.ndim != 4 or array.shape[-1] != 3:
        return array
    brightest: np.ndarray = array.max(axis=-1)
    return brightest


def _check_shapes(pair: AvsPair, truth: np.ndarray, predicted: np.ndarray) -> None:
    if truth.ndim != 3 or truth.shape != predicted.shape:
        raise DataError(
            f"{pair.predicted.files[0]}: clip {pair.name}: {predicted.shape}, truth has {truth.shape}; both (T, H, W)"
        )


def classes_of_colours(colours_THW3: np.ndarray, num_classes: int) -> np.ndarray:
    """The class of each pixel, int (T, H, W), by PASCAL VOC's colours; an unknown colour is class 0."""
    if colours_THW3.shape[-1] != 3:
        return colours_THW3
    codes = colours_THW3.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    palette = voc_colours(num_classes) @ np.array([1 << 16, 1 << 8, 1])
    order = np.argsort(palette)
    place = np.minimum(np.searchsorted(palette[order], codes), num_classes - 1)
    classes: np.ndarray = np.where(palette[order][place] == codes, order[place], 0)
    return classes


def voc_colours(number: int) -> np.ndarray:
    """PASCAL VOC's colour map: the bits of a class, three at a time, go to red, green and blue from the top down."""
    classes = np.arange(number)
    bits = [[(classes >> (3 * place + channel) & 1) << (7 - place) for place in range(8)] for channel in range(3)]
    colours: np.ndarray = np.array(bits).sum(axis=1).T
    return colours
