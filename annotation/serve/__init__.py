"""Servers on this machine: Label Studio, and the service that it asks for masks. Who labels what is not known here.

servers.py                 starts and ends both; server_processes.py: servers as children of ours
keep_up.py                 starts again what ends by itself; server_states.py: how they are
label_studio_install.py    Label Studio in an environment of its own; page_*.js: what its page does more
segmenter.py               the program of the service; segmenter_app.py: its routes; monitoring.py: its figures
click_request.py           what the page sends; page_state.py: what it holds at the click
click_answer.py            from a click to masks; hand_edits.py: what a hand set in them stays
fills.py                   the other stills of a box, in the background
workspace_stills.py        the stills; embedding_cache.py: what engines work out of them
following.py               an object followed through the video, or from still to still
"""
