"""Servers and media that the tests make for themselves."""
