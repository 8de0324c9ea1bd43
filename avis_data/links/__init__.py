"""Links in a workspace: none leads a write or a deletion out of it, but to a folder of which its owner said so.

check.py        looks for links that lead out, before anything is written, and at every single write
put_folders.py  what the owner said (`avis-data init --put`), kept outside of the workspace, where no archive brings it

Nothing here reads what a file holds. A workspace may come from anybody: nothing inside it can allow a link.
"""
