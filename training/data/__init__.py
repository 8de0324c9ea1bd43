"""Datasets as models see them: splits, samples of frames with sound and truth, clips to predict.

A dataset is read here, and nothing is learnt: no module here knows a model, a config or a run.
"""
