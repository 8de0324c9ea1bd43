"""One source video from the web: yt-dlp as a library, its errors as our reasons, partial files, cookies.

Here: what is asked of the network and what is refused. Not here: which videos are wanted, and the ledger (the stage
`fetch`).
"""
