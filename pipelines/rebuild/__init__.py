"""A set that was published without its media becomes whole again: what can still be fetched is fetched, compared with
the prints of the published media, and what is missing is named. Knows no command and no format but YTVIS.
"""
