"""From a list of videos to published datasets: stages, what runs them, imports and exports.

Of the modules here `steps` does the stages that a person asks for, `status` tells how far they are, `manifests` writes
down what exists, `kept_video_list` keeps the list that was given, and `truth_records` says whose truth each clip has:
imports and annotation write it, exports read it. Nothing in here knows annotation or training: a stage that lies there
is known by its name in `stages` only.
"""
