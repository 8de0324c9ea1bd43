"""Files of model weights: how they are read safely (`files`), which are known (`known`), which a user has (`registry`),
and how they are fetched (`getting`), which only `avis-data weights get` does.

Every file of weights is read and hashed here. What the tensors mean stands with the models
(`avis_data.training.models`), how a model is made of them in `avis_data.training.checkpoints`.
"""

from avis_data.weights.registry import (
    RegisteredWeights,
    find,
    path_of,
    problem_with,
    register,
    registered,
    resolve_vggish,
)

__all__ = ["RegisteredWeights", "find", "path_of", "problem_with", "register", "registered", "resolve_vggish"]
