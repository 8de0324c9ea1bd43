"""Networks with their losses, and what of published checkpoints they can take; one folder for each model.

A model gets clips and gives losses or predictions. It knows no loop, no config file, no folder of a run: nothing here
imports `checkpoints`, `predict` or `run`.

To add a model: make a folder with `config.py`, `model.py` and a `spec.py` that ends in `SPEC`; name it in
`training/registry.py`; put the values of its recipe into `training/configs/`.
"""
