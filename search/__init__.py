"""Decides what to try: the only place where the other rooms meet."""
