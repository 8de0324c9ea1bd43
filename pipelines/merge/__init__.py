"""Two workspaces become a third one: what each holds, what clashes, and the new workspace, written whole or not at all.

It knows no server and no rounds: what people said is brought over by `annotation/work/merged_rounds.py`.
"""
