"""Data sets: one file per published layout, the procedural surfaces, and what turns either into packs, splits and backgrounds."""

DATASETS = {
    "procedural": "trainables.datasets.procedural:ProceduralSurfaces",
    "severstal": "trainables.datasets.severstal:Severstal",
    "neu_seg": "trainables.datasets.neu_seg:NeuSeg",
    "neu_det": "trainables.datasets.neu_det:NeuDet",
    "neu_cls_64": "trainables.datasets.neu_cls_64:NeuCls64",
    "neu_cls": "trainables.datasets.neu_cls:NeuCls",
    "magnetic_tiles": "trainables.datasets.magnetic_tiles:MagneticTiles",
    "image_folder": "trainables.datasets.image_folder:ImageFolder",
}
"""Name -> loader. The order is that of `detect_layout`: the most particular layout first, any folder of folders last."""
