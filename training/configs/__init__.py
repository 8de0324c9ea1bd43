"""Values of published recipes and of tiny models, a YAML file each. The keys are fields of `training/config.py`."""
