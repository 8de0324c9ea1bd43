"""Label Studio's brush coding against its own SDK, in all directions, and against damaged and hostile streams."""

from __future__ import annotations

import numpy as np
import pytest

from avis_data.errors import DataError
from avis_data.masks.brush_rle import decode_brush, encode_brush


def theirs(mask_HW: np.ndarray) -> list[int]:
    from label_studio_sdk.converter.brush import encode_rle  # imports nltk, scikit-learn and pandas

    return list(encode_rle(np.repeat((mask_HW * 255).astype(np.uint8).ravel(), 4)))


def random_mask(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 120, 2)
    if seed % 3 == 0:
        mask = np.zeros((height, width), dtype=bool)
        mask[height // 3 :, : width // 2 + 1] = True
        return mask
    return rng.random((height, width)) < rng.random() ** 2


@pytest.mark.parametrize("seed", range(60))
def test_both_write_and_read_the_same(seed: int) -> None:
    from label_studio_sdk.converter.brush import decode_rle

    mask = random_mask(seed)
    ours, sdk = encode_brush(mask), theirs(mask)
    assert ours == sdk[: len(ours)] and sdk[len(ours) :] in ([], [0]), "the SDK adds a byte where none is needed"
    np.testing.assert_array_equal(np.reshape(decode_rle(ours), (*mask.shape, 4))[..., 3] > 0, mask)
    for coded in (ours, sdk):
        np.testing.assert_array_equal(decode_brush(coded, height=mask.shape[0], width=mask.shape[1]), mask)


@pytest.mark.parametrize("mask", [np.zeros((720, 1280), bool), np.ones((720, 1280), bool)], ids=["none", "all"])
def test_runs_of_more_than_65536_values_are_divided(mask: np.ndarray) -> None:
    assert encode_brush(mask) == theirs(mask)[: len(encode_brush(mask))]
    np.testing.assert_array_equal(decode_brush(encode_brush(mask), height=720, width=1280), mask)


@pytest.mark.parametrize("seed", range(10))
def test_soft_edges_count_from_128(seed: int) -> None:
    """Edited masks come back with soft alpha, and other channels that mean nothing; the SDK writes literal blocks."""
    from label_studio_sdk.converter.brush import encode_rle

    rng = np.random.default_rng(seed)
    rgba = rng.integers(0, 256, (17, 23, 4)).astype(np.uint8)
    rgba[0, 0, 3], rgba[0, 1, 3] = 127, 128
    coded = encode_rle(rgba.ravel())
    for least, usual in ((128, {}), (1, {"least_alpha": 1}), (255, {"least_alpha": 255})):
        np.testing.assert_array_equal(decode_brush(coded, height=17, width=23, **usual), rgba[..., 3] >= least)


def test_other_sizes_of_counts_are_read() -> None:
    """Written by hand: counts of 1, 2, 5 and 12 bits; 2 x 3 pixels, the third of them inside."""
    bits = f"{24:032b}" + f"{7:05b}" + "".join(f"{size - 1:04b}" for size in (1, 2, 5, 12))
    bits += "1" + "10" + f"{8 - 1:05b}" + f"{0:08b}"  # eight zeros as a run with a five-bit count
    bits += "0" + "01" + f"{4 - 1:02b}" + f"{9:08b}" * 3 + f"{200:08b}"  # one literal pixel with alpha 200
    bits += "1" + "11" + f"{12 - 1:012b}" + f"{0:08b}"
    bits += "0" * (-len(bits) % 8)
    coded = [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]
    np.testing.assert_array_equal(decode_brush(coded, height=2, width=3), [[False, False, True], [False] * 3])


def test_a_stream_for_another_size_is_refused_before_anything_is_made() -> None:
    coded = encode_brush(np.ones((4, 4), bool))
    huge = [0xFF, 0xFF, 0xFF, 0xFC, *coded[4:]]
    for stream in (coded, huge):
        with pytest.raises(DataError, match="values"):
            decode_brush(stream, height=5, width=4)


@pytest.mark.parametrize("stream", [[], [1, 2], [0, 0, 0, 64], "text", [300] * 20, [-1] * 20, [None] * 20, [1.5] * 9])
def test_what_is_no_stream_is_refused(stream: object) -> None:
    with pytest.raises(DataError, match="brush mask"):
        decode_brush(stream, height=4, width=4)  # type: ignore[arg-type]


def test_damage_is_found_or_harmless() -> None:
    """Cut and bent streams end in an error or in a mask of the right size, never in a crash or a wrong size."""
    mask = random_mask(7)
    coded, refused = encode_brush(mask), 0
    rng = np.random.default_rng(0)
    for _ in range(400):
        bent = list(coded)
        if rng.random() < 0.3:
            bent = bent[: rng.integers(4, len(bent))]
        else:
            bent[rng.integers(4, len(bent))] = int(rng.integers(256))
        try:
            assert decode_brush(bent, height=mask.shape[0], width=mask.shape[1]).shape == mask.shape
        except DataError:
            refused += 1
    assert refused > 40
