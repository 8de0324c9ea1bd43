"""From a list of videos to published datasets: stages, what runs them, imports and exports.

Of the modules here `steps` does the stages that a person asks for, `status` tells how far they are, `manifests` writes
down what exists, and `kept_video_list` keeps the list that was given. Nothing in here knows annotation or training: a
stage that lies there is known by its name in `stages` only.
"""
