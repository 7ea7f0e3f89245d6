"""What made-up trials took: one of the search, and one on real images alone."""

from search.spending.took import Took

EXPLORED = Took(
    move="explore",
    baseline=None,
    family="left",
    inspector="small",
    size_px=64,
    device="cpu",
    units=1,
    wall_s=600.0,
    kimg_s=20.0,
    rest_s=300.0,
    stored_gib=0.5,
    gpus=0.0,
)
REAL = EXPLORED._replace(move="baseline", baseline="plain", family=None, kimg_s=None, rest_s=600.0)
