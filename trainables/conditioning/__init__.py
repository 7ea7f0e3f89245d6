"""How a generator is told the class: one-hot, attribute vectors from a CSV, vectors learned from features, or a blend of the last two."""
