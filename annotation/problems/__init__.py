"""What needs a look over a whole round, worst first. Knows labels and agreement; `avis_data/report` writes the page.

evidence.py        what speaks against a track: jumps, looks, sound, a trained model's disagreement
label_errors.py    the queue of label errors: tracks against which most speaks come first
collect.py         problems, flags, disagreements, remarks and label errors in one list
"""
