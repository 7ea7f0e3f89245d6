"""Data sets: one file per published layout, the procedural surfaces, and what turns either into packs, splits and backgrounds."""

DATASETS = {
    "procedural": "trainables.datasets.procedural:ProceduralSurfaces",
    "textures": "trainables.datasets.surfaces.textures:Textures",
    "strips": "trainables.datasets.surfaces.strips:Strips",
    "stereo": "trainables.datasets.surfaces.stereo:Stereo",
    "severstal": "trainables.datasets.layouts.severstal:Severstal",
    "neu_seg": "trainables.datasets.layouts.neu_seg:NeuSeg",
    "neu_det": "trainables.datasets.layouts.neu_det:NeuDet",
    "neu_cls_64": "trainables.datasets.layouts.neu_cls_64:NeuCls64",
    "neu_cls": "trainables.datasets.layouts.neu_cls:NeuCls",
    "dagm2007": "trainables.datasets.layouts.dagm2007:Dagm2007",
    "kolektor_sdd": "trainables.datasets.layouts.kolektor_sdd:KolektorSdd",
    "kolektor_sdd2": "trainables.datasets.layouts.kolektor_sdd2:KolektorSdd2",
    "mvtec_ad": "trainables.datasets.layouts.mvtec_ad:MvtecAd",
    "magnetic_tiles": "trainables.datasets.layouts.magnetic_tiles:MagneticTiles",
    "photometric_stereo": "trainables.datasets.layouts.photometric_stereo:PhotometricStereo",
    "image_folder": "trainables.datasets.layouts.image_folder:ImageFolder",
}
"""Name -> loader. The order is that of `detect_layout`: the most particular layout first, any folder of folders last."""

DRAWN = ("procedural", "textures", "strips", "stereo")
"""Data sets that are drawn: they need no folder."""

PHYSICAL = ("photometric_stereo", "stereo")
"""Those whose channels are physical quantities, not colours: `Listing.physical`, known without a file."""
