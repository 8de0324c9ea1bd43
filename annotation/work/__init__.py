"""The work of people, between labels/ and labelstudio/: given out, fetched, reviewed. No server is started here.

draft_plan.py, push_draft.py     who labels which clip; their projects; previews.py: something to play
push.py                          the clips of one person in a round, each exactly once
pull.py, pulled_tasks.py         what people did, fetched once; project_status.py: how far they are
review_plan.py, review_start.py  who reviews or mends what; close_round.py: the end of a round
lead.py                          open work given to others, clips reopened, disputes settled
history.py                       what became of one clip
"""
