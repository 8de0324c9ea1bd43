"""A trained model at work: prediction, result files, pictures of them, and how fast it is.

What differs between tasks is asked of `training/task.py`. Nothing here knows the loop that trained the model.
"""
