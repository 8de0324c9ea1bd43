"""The labels of people. No server is known here, and no command.

records.py            what people leave behind: rounds, assignments, labelled clips, answers (their heads)
store.py              the file of each, read and written
workspace_labels.py   WorkspaceLabels: all of it as one object, each file read once; what commands are given
rounds.py             where a clip stands between draft and accepted, out of what was given and said
first_labels.py       what is known of a clip before anyone looks
what_is_heard.py      when something, or somebody, is heard in it, and which categories it may be
tables.py             accepted and draft labels brought into the masks table, the tracks, current.json
states.py             when an object is heard, in whole seconds, and its state
matching.py           two people's tracks of one clip, paired
changes.py            what somebody changed in the labels that they were given
repair.py             swap, merge, split, delete, copy, as functions of the labels
kept_repairs.py       the repairs of a clip, which later pulls keep and `labels undo` takes back
track_problems.py     what looks wrong with tracks, whoever made them
made_masks.py         which masks engines made, so that their origin is known when they come back
"""
