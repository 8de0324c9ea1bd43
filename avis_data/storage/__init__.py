"""A bucket as the home of a workspace's large files: sources, stills, sound and arrays of clips, and exports.

`settings` reads `storage.yaml`, `store` alone talks with the bucket and knows what passes by itself, `objects` makes an
object of a file or folder and a checked local copy of an object, `copies` bounds what local copies take. Which objects
count is the ledger's business: nothing here opens it.
"""
