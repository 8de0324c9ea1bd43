"""Pictures of a dataset, as a dataset paper prints them: counted, drawn, and written with the table behind each.

`counts` goes through the truth once, `tables` makes of the counts what each figure shows, `drawing` draws one of them,
and `writing` writes them all: PNG, SVG, PDF and CSV. The same dataset gives the same bytes.
"""
