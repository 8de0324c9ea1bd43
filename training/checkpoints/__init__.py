"""From files of weights to models: files of ours, start weights, conversion of published checkpoints.

How a file is read safely and which published files there are stands in `avis_data.weights`; the names of tensors stand
with the models. Nothing here trains or predicts.
"""
