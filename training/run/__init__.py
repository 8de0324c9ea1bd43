"""One training run: the loop, its folder and log, validation, and the two tasks that can be trained for.

It stands above all other rooms of training. What a model computes does not stand here.
"""
