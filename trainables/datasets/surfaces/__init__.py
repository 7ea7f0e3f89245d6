"""Procedural surfaces beside the six steel classes: ten textures, long strips in black borders, and pictures of three physical channels.

Each is a pure function of (kind, seed, size), with exact masks, so that tests and demonstrations need no file.
"""
