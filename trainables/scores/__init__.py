"""How good a trial was, and what it cost. Names and directions are known without torch; the numbers come from the modules named here.

Called by `trainables.trial`; the names also by `search` to check a study's objectives.
"""

SCORES = {
    "accuracy": "trainables.scores.classification:accuracy",
    "macro_f1": "trainables.scores.classification:macro_f1",
    "recall": "trainables.scores.classification:recall",
    "confusion": "trainables.scores.classification:confusion",
    "kid": "trainables.scores.distances:kid",
    "mmd": "trainables.scores.distances:kid",
    "frechet": "trainables.scores.distances:frechet",
    "fid": "trainables.scores.distances:frechet",
    "manifold_precision": "trainables.scores.neighbours:overlap",
    "manifold_recall": "trainables.scores.neighbours:overlap",
    "density": "trainables.scores.neighbours:overlap",
    "coverage": "trainables.scores.neighbours:overlap",
}
"""Base name -> the function that computes it."""
