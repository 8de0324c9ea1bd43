"""Faults of the machine are told by code and type, through all that a library or we made of them."""

from __future__ import annotations

import errno
import urllib.error
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from yt_dlp.utils import DownloadError

from avis_data.errors import DataError, ItemError, Reason, fault_of
from avis_data.io import atomic_path, raise_unreadable
from support.machine_faults import no_more_files, quota


def wrapped(error: BaseException) -> ItemError:
    """What a stage makes of an error that it takes for the item's: the first one is not even its cause."""
    try:
        try:
            raise error
        except BaseException:
            raise ItemError("damaged", reason=Reason.BAD_MEDIA) from None
    except ItemError as made:
        return made


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "words in another language"), Reason.DISK_FULL),
        (OSError(errno.EDQUOT, ""), Reason.DISK_FULL),
        (OSError(errno.EFBIG, ""), Reason.DISK_FULL),
        (OSError(errno.EIO, ""), Reason.DISK_ERROR),
        (OSError(errno.ESTALE, ""), Reason.DISK_ERROR),
        (OSError(errno.EROFS, ""), Reason.NO_ACCESS),
        (PermissionError(errno.EACCES, "", "/data/x.mp4"), Reason.NO_ACCESS),
        (OSError(errno.EMFILE, ""), Reason.LIMIT_REACHED),
        (OSError(errno.ENFILE, ""), Reason.LIMIT_REACHED),
        (OSError(errno.ENOMEM, ""), Reason.OUT_OF_MEMORY),
        (MemoryError(), Reason.OUT_OF_MEMORY),
        (torch.OutOfMemoryError("CUDA"), Reason.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: you tried to allocate 1 bytes. Error code 12 (x)"), Reason.OUT_OF_MEMORY),
        (urllib.error.URLError(OSError(errno.EMFILE, "")), Reason.LIMIT_REACHED),
        (DownloadError("x", (OSError, OSError(errno.ENOSPC, ""), None)), Reason.DISK_FULL),
        (av.error.OSError(errno.ENOSPC, "x", "a.mkv"), Reason.DISK_FULL),
    ],
)
def test_a_code_is_found_behind_every_wrapping(error: BaseException, reason: Reason) -> None:
    for told in (error, wrapped(error)):
        found = fault_of(told)
        assert found is not None and found.reason is reason
        assert found.reason.retryable and ";" in found.message


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOENT, "", "x"),
        PermissionError(errno.EACCES, "of a firewall: no file is named"),
        ConnectionResetError(errno.ECONNRESET, ""),
        av.error.OSError(errno.EIO, "what libavformat says of a file that is cut off", "a.mp4"),
        av.error.PermissionError(errno.EPERM, "-1, what a decoder says", "a.mp4"),
        ValueError("No space left on device"),
        DataError("No space left on device (os error 28)"),
    ],
)
def test_what_may_be_the_items_is_left_to_it(error: BaseException) -> None:
    assert fault_of(error) is None and fault_of(wrapped(error)) is None


VALUES = np.arange(100_000)


@pytest.mark.parametrize(
    "write",
    [
        lambda part: np.save(part.open("wb"), VALUES),
        lambda part: save_file({"a": torch.from_numpy(VALUES)}, part),
        lambda part: part.write_bytes(VALUES.tobytes()),
    ],
    ids=["numpy, without a code", "safetensors, with a code in words", "python"],
)
def test_what_a_library_lost_is_asked_of_the_system(tmp_path: Path, write: Callable[[Path], object]) -> None:
    with pytest.raises((OSError, SafetensorError)) as caught, quota(5000), atomic_path(tmp_path / "a.bin") as part:
        write(part)
    found = fault_of(caught.value)
    assert found is not None and found.reason is Reason.DISK_FULL
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    raise_unreadable(ValueError("no code"), tmp_path / "a.wav")
    with pytest.raises(OSError) as caught, no_more_files(0):
        raise_unreadable(ValueError("no code"), tmp_path / "a.wav")
    assert caught.value.errno == errno.EMFILE
