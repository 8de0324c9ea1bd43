"""AVISM, and VITA: instances in whole clips, heard frame by frame and over the clip. Begin with `model.py`."""
