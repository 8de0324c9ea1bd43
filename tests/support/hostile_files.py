"""Files of numbers that are damaged, of another form, or hold values that are no numbers."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image

from avis_data.features.store import write_part

__all__ = ["HOSTILE", "NAN", "embeddings"]


def npy(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, values, allow_pickle=values.dtype == object)
    return out.getvalue()


def npy_header(shape: tuple[int, ...]) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return out.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]  # its stub takes each name for `allow_pickle`
    return out.getvalue()


def wav(samples: np.ndarray, *, rate: int = 16000, subtype: str = "PCM_16") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, subtype=subtype, format="WAV")
    return out.getvalue()


def picture(form: str) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def torch_file(content: object) -> bytes:
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def embeddings(folder: Path, values: np.ndarray) -> bytes:
    path = folder / "written.parquet"
    write_part(path, [("a", values)], weights_sha256="0" * 64, front_end="official", window_s=0.96)
    return path.read_bytes()


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("code of a stranger ran",))


SOUND = np.zeros((48000, 2), np.float32)
NAN = np.full((3, 128), np.nan, np.float32)
HOSTILE: dict[str, dict[str, bytes]] = {
    "any": {
        "empty": b"",
        "text": b"<html>sign in</html>",
        "noise": np.random.default_rng(1).bytes(500),
        "zeros": bytes(500),
        "torn zip": b"PK\x03\x04" + bytes(60),
        "pickle": pickle.dumps(Evil()),
    },
    "array": {
        "archive": npz(a=np.zeros((3, 128), np.float32)),
        "objects": npy(np.array([Evil()], dtype=object)),
        "texts": npy(np.full((3, 128), "0.5")),
        "whole numbers": npy(np.zeros((3, 128), np.int64)),
        "complex": npy(np.zeros((3, 128), np.complex64)),
        "one number": npy(np.float32(1)),
        "fields": npy(np.zeros(3, [("a", "f4")])),
        "rows of another number": npy(np.zeros((4, 128), np.float32)),
        "another width": npy(np.zeros((3, 127), np.float32)),
        "three axes": npy(np.zeros((3, 128, 1), np.float32)),
        "cut off": npy(np.zeros((3, 128), np.float32))[:-8],
        "NaN": npy(NAN),
        "infinity": npy(-NAN * np.inf),
        "a size that no memory holds": npy_header((1 << 50, 128)) + bytes(64),
        "a size below nothing": npy_header((-3, 128)) + bytes(64),
    },
    "masks": {"objects": npy(np.array([Evil()], dtype=object)), "cut off": npy(np.zeros((3, 4, 5)))[:-8]},
    "sound": {
        "NaN": wav(np.full((48000, 2), np.nan, np.float32), subtype="FLOAT"),
        "header only": wav(SOUND)[:44],
        "half a header": wav(SOUND)[:20],
    },
    "picture": {
        f"half a {form}": picture(form)[: len(picture(form)) // 3] for form in ("JPEG", "PNG", "GIF", "BMP", "DDS")
    }
    | {"a number that is none": b"P6\n3x 24\n255\n" + bytes(40), "SGI of no kind": b"\x01\xda\x01\x09" + bytes(600)},
    "table": {},
    "weights": {
        "a list": torch_file([1, 2]),
        "code": torch_file({"a": Evil()}),
        "NaN": torch_file({"a": torch.full((3,), torch.nan)}),
        "cut off": torch_file({"a": torch.zeros(300)})[:-100],
    },
}
