"""Synthetic images of a trained generator: drawn in blocks, filtered, marked, and as many as the amount says."""
