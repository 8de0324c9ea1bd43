"""AVS-BG, TPAVI and the AVSBench baseline: one mask per frame of what sounds. Begin with `model.py`."""
