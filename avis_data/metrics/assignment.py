"""One-to-one assignment of truth to predictions in every frame of a video."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import cast

import numpy as np

__all__ = ["best_pairs", "pair_tracks"]


def best_pairs(
    weight_TGP: np.ndarray, present_GT: np.ndarray, present_PT: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of positive weight in the assignment of largest total weight, frame by frame.

    Where no truth and no prediction has two partners to choose from, all positive pairs are the assignment; the solver
    is called for the other frames only.

    Args:
        weight_TGP: float64, not negative.
        present_GT: bool, detections of the truth; only these are shown to the solver, whose choice among equally good
            assignments depends on what it is shown.
        present_PT: bool, detections of the predictions.

    Returns:
        t, g, p: int64 (N,) each, by frame.
    """
    positive_TGP = weight_TGP > 0
    is_contested_T = (positive_TGP.sum(axis=1) > 1).any(axis=1) | (positive_TGP.sum(axis=2) > 1).any(axis=1)
    for t in np.flatnonzero(is_contested_T):
        rows, columns = np.flatnonzero(present_GT[:, t]), np.flatnonzero(present_PT[:, t])
        g, p = pair_tracks(weight_TGP[t][np.ix_(rows, columns)])
        chosen_GP = np.zeros_like(positive_TGP[t])
        chosen_GP[rows[g], columns[p]] = True
        positive_TGP[t] &= chosen_GP
    places = np.nonzero(positive_TGP)
    return places[0], places[1], places[2]


def pair_tracks(weight_GP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the assignment of largest total weight, rows ascending; min(G, P) pairs, of weight 0 too.

    The public evaluation calls this very solver with truth as rows, and its results depend on how it breaks ties.
    """
    rows, columns = _solver()(-weight_GP)
    return rows, columns


@cache
def _solver() -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """SciPy's `linear_sum_assignment`, out of its own compiled module.

    The rest of `scipy.optimize`, which an ordinary import brings in, takes longer to load than a small set to evaluate.
    """
    package = find_spec("scipy")
    for folder in (package.submodule_search_locations or ()) if package else ():
        spec = PathFinder.find_spec("_lsap", [f"{folder}/optimize"])
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return cast(Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], module.linear_sum_assignment)
    from scipy.optimize import linear_sum_assignment

    return cast(Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], linear_sum_assignment)
