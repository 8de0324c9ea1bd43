"""Our modules give the numbers of the official ones, from the official weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.parity_avism import kind_of
from support.parity_avs import avs_kind_of
from support.parity_cases import Case


def test_case(case: Case, record_property: Callable[[str, object], None]) -> None:
    run = kind_of(case) or avs_kind_of(case)
    if run is None:
        pytest.skip(f"{case.about['name']} is a case of a model that is not here")
    run(case)
    # Checked in other words: the order of the official list, and the class that follows from a candidate's index.
    case.all_were_compared("result.position_in_the_official_list", "candidate.class")
    assert case.compared
    record_property(case.about["name"], f"{case.worst:.1e} over {case.compared} tensors")
