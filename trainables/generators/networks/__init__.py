"""Layers and networks: those that families share, and those of a family whose file would be too long with them."""
