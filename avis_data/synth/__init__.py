"""A seeded world of things that move and sound, with exact masks, identities and sounding seconds."""
