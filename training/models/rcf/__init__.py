"""RCF: instances frame by frame, from a few frames before and their sound. Begin with `model.py`."""
