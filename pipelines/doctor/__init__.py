"""What is damaged in a workspace, and what can be made anew without doing work again: `avis-data doctor --workspace`.

    files.py             what a kind of file is, and where the tables of kinds stand; each room knows its own files
    workspace_files.py   the kinds that the core and the pipelines write
    examination.py       looks at every file; changes nothing
    repair.py            makes anew what can be, and keeps aside what it replaces
    rebuilt_ledger.py    the ledger, from its text and the files

Reads by the readers that all commands use, so what passes here is what commands take. Knows the tables of annotation
and training by name only.
"""
