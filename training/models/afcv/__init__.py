"""AFCV, and CrossVIS: instances frame by frame, linked by embeddings, and pictures of the sound. See `model.py`."""
