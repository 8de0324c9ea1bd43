"""Label Studio's brush coding: ours against the SDK's, in one run, at 720p.

    python -m benchmarks.brush_rle

Both start from a mask and end with a list, or the other way round. Least of several times each.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from label_studio_sdk.converter.brush import decode_rle, encode_rle

from avis_data.masks.brush_rle import decode_brush, encode_brush

HEIGHT, WIDTH = 720, 1280


def masks() -> dict[str, np.ndarray]:
    """Smooth, ragged, and with 2 % holes."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    ellipse = ((columns - 640) / 300) ** 2 + ((rows - 360) / 200) ** 2 < 1
    holes = np.random.default_rng(0).random((HEIGHT, WIDTH)) > 0.02
    return {
        "ellipse": ellipse,
        "ragged": ellipse & (np.sin(columns / 3) + np.cos(rows / 2.3) > -1.2),
        "2 % holes": ellipse & holes,
    }


def least_ms(function: Callable[[], object], repeats: int) -> float:
    """Milliseconds of the quickest call, after one that does not count."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return 1000 * min(times)


def main() -> None:
    print("| mask | bytes | encode SDK, ms | ours | ratio | decode SDK, ms | ours | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for name, mask in masks().items():
        coded = encode_brush(mask)
        assert coded == list(encode_rle(np.repeat((mask * 255).astype(np.uint8).ravel(), 4)))[: len(coded)]

        def sdk_encode(mask: np.ndarray = mask) -> list[int]:
            return list(encode_rle(np.repeat((mask * 255).astype(np.uint8).ravel(), 4)))

        def sdk_decode(coded: list[int] = coded) -> np.ndarray:
            return np.reshape(decode_rle(coded), (HEIGHT, WIDTH, 4))[..., 3] >= 128

        cells = [
            least_ms(sdk_encode, 7),
            least_ms(lambda mask=mask: encode_brush(mask), 30),  # type: ignore[misc]
            least_ms(sdk_decode, 7),
            least_ms(lambda coded=coded: decode_brush(coded, height=HEIGHT, width=WIDTH), 30),  # type: ignore[misc]
        ]
        assert np.array_equal(sdk_decode(), decode_brush(coded, height=HEIGHT, width=WIDTH))
        encode, decode = (f"{cells[k]:.2f} | {cells[k + 1]:.3f} | {cells[k] / cells[k + 1]:.0f} x" for k in (0, 2))
        print(f"| {name} | {len(coded):,} | {encode} | {decode} |")


if __name__ == "__main__":
    main()
