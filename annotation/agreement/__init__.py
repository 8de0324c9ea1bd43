"""How far people say the same. Knows the labels, and no server; the page is written by `avis_data/report`.

label_pairs.py    which labels of a clip are compared
compare.py        two people's labels of one clip, as sums
figures.py        the sums of many clips as figures, with their intervals
adjudication.py   clips that two people labelled: in which order to decide, and what to tell who decides
report.py         all figures, and the clips to look at
"""
