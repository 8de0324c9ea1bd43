"""Planted label errors stand at the beginning of the queue; the weights were chosen on other worlds."""

from __future__ import annotations

import numpy as np
import pytest

from avis_data.annotation.problems.label_errors import rank
from benchmarks.label_errors import BAR, KINDS, Sample, in_first_tenth, make_samples, plant, queue

SEED = 4242


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return make_samples(44, SEED, num_seconds=6)


def test_planted_errors_are_in_the_first_tenth(samples: list[Sample]) -> None:
    found, planted = 0, 0
    for number in range(3):
        labels, errors = plant(samples, SEED + number)
        assert set(errors.values()) == set(KINDS)
        planted += len(errors)
        found += len(in_first_tenth(queue(samples, labels), errors))
    assert found / planted >= BAR, f"{found} of {planted}"


def test_a_queue_does_not_depend_on_the_order_of_the_clips(samples: list[Sample]) -> None:
    labels, _ = plant(samples[:12], SEED)
    order = np.random.default_rng(1).permutation(12).tolist()
    shuffled = queue([samples[number] for number in order], [labels[number] for number in order])
    assert shuffled == queue(samples[:12], labels)
    assert rank([]) == []
