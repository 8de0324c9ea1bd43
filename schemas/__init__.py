"""What the files of a workspace hold, for other programs: JSON Schemas, Parquet columns, and the category sets.

All but the category sets is written by generate.py from the records; a test fails where they differ.
"""
