"""All that knows Label Studio, and nothing of who labels what: client.py alone imports its package.

client.py          the calls; server_records.py: what comes back, parsed
settings.py        which server a workspace works with, and its secrets
configuration.py   the page that people work in
projects.py        a project for each person in a round
tasks.py           a clip as a task
regions.py         masks and spans to the page's regions, and back; strokes.py: strokes of a draft to pixels
annotations.py     one annotation to what one person said of a clip
"""
