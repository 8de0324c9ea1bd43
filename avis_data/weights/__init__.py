"""Model weight files: which are known, which this user has, and whether they are what they should be."""

from avis_data.weights.registry import (
    RegisteredWeights,
    data_home,
    find,
    problem_with,
    register,
    registered,
    resolve_vggish,
)

__all__ = ["RegisteredWeights", "data_home", "find", "problem_with", "register", "registered", "resolve_vggish"]
