"""A run on disk: its lease, its records, and what is derived from them."""
