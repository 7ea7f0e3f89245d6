"""What a search believes: finished trials as numbers, and Gaussian processes that foresee others. Used by `search.moves`."""
