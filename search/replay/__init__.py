"""Replay: a study, or a strategy to compare it with, run in simulated time against a recorded table of real trials."""
