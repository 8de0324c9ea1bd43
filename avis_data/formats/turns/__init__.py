"""Who is heard when, without any mask: turns of sound read from RTTM, AVA's CSV and a plain CSV, and written as both.

`records` has the turns and what they say of a still, `reading` the three files. `rttm` and `ava` are formats of sets
(avis_data.formats.sets) that hold nothing but this.

Not here: masks; what people are asked of a set (formats.sets.adjust).
"""
