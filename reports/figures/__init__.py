"""The plots of the report, in their order. Each module holds `info(run)`, plain data that tests look at, and `figure(info)`, what is drawn.

Adding a plot: one file with the two functions and a `PLOT`, and one line here.
"""

FIGURES = {
    "confirmed": "reports.figures.confirmed:PLOT",
    "growth": "reports.figures.growth:PLOT",
    "groups": "reports.figures.groups:PLOT",
    "robustness": "reports.figures.robustness:PLOT",
    "confusion": "reports.figures.confusion:PLOT",
    "unseen_pairs": "reports.figures.unseen_pairs:PLOT",
    "pareto_front": "reports.figures.pareto_front:PLOT",
    "history": "reports.figures.history:PLOT",
    "hypervolume": "reports.figures.hypervolume:PLOT",
    "importance": "reports.figures.importance:PLOT",
    "amount": "reports.figures.amount:PLOT",
    "split_counts": "reports.figures.split_counts:PLOT",
}
"""Name -> where its `Plot` is."""
