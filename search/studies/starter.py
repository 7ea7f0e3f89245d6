"""The commented study file that `tundish init` writes for a folder of images, and that `tundish run --data` runs unseen."""

import json

from trainables.datasets.listing import DEFECT_FREE, load_listing
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError

_TEXT = """\
# Tundish study: which generator, with which settings, and how many synthetic images per real one, give the best inspector?
#
#   tundish run {file}              runs it; the same line again continues it
#   tundish space show {file}       shows everything that varies, with ranges and the papers' values
#   tundish schema > study.schema.json     lets an editor complete and check this file
#
# Any setting can be overridden on the command line: --set search.trials=20

study: {name}
seed: 0

data:
  dataset: {dataset}
  path: {path}
  size_px: {size_px}              # side of the images that everything is trained on: 16, 32, 64, 128 or 256
  channels: {channels}              # 1 grey, 3 colour
  images_per_class: {images_per_class}    # training images: a number, all, or fewest (as many as the rarest class has)
  val_fraction: {val_fraction}        # the search sees validation only; test is read once, at the end
  test_fraction: {test_fraction}
  # Turned, mirrored and near copies of a picture never straddle training, validation and test. `paper` takes a published split as it is.
  protocol: {protocol}
  defect_free: {defect_free}        # class: defect-free images are a class for the inspector; background: only material for pe_gan
  # attributes: classes.csv         # numbers that describe each class, by which generators can then be told it, as they are or as a VAE learns them
  # Where pe_gan, which turns defect-free images into defects, takes them from: folder, crops (mined from training images), none.
  backgrounds: {backgrounds}
{boxes}
# What varies. Leave a setting out and it varies in its whole default range; give a value, a list, or {{low: ..., high: ...}} to narrow it.
space:
  generator:
    family: [{families}]
  synthesis:
    fraction: {{low: 0.0, high: 0.8}}   # synthetic share of the training images, class by class
    # amount: [fraction, balance]     # other kinds: per_class, multiple, top_up_to, balance
  inspector:
    kind: [resnet18]                  # the first is also the one whose features measure val_kid_inspector
    resnet18:
      lr: 1.0e-3
      epochs: 30
      batch: 32

# What is improved: the front of the best compromises is searched. Costs are possible too: generator_s, inspector_ms_per_image, ...
objectives:
  val_macro_f1: maximize
  val_kid: minimize                   # distance of synthetic to real images, in the features of scores.extractor

# limits: {{inspector_ms_p95: 80, inspector_params_m: 5}}   # what may never be exceeded; a trial that breaks one is on no front

scores:
  extractor: auto                     # inception (the standard FID features) where its weights can be had, otherwise inspector
  # inception_weights: weights-inception-2015-12-05-6726825d.pth

search:
  trials: 40                          # baselines included; confirmations at the end come on top
  marks: [10, 40]                     # how long generators are trained: thousands of real images shown
  baselines: [plain, oversample, undersample, augment]   # real images alone; they come first
  paper_settings: true                # then each family as its paper has it
  # try:                              # then points of your own; what is left out takes its default
  #   - {{generator.family: dcgan, generator.dcgan.class_mode: conditional, synthesis.fraction: 0.2}}
  # warm_start: [runs/earlier]        # earlier runs that the search learns from before its first trial
  confirm: {{top: 3, seeds: 3}}         # the best again with fresh seeds, beside the baselines, on the test split
                                      # with 4 seeds or more, clear losers are dropped on validation first (race: false keeps all);
                                      # generators: 3 would train three generators anew for each, and tell their luck from the inspectors'
  # budget: {{hours: 8, disk_gib: 50}}  # of all starts together, confirmations included; `tundish run --dry-run` says what to expect

resources:
  workers: auto                       # trials at a time
  precision: auto                     # fp32 or bf16; decided once, when the study starts

storage:
  runs: runs
  store: store                        # results of stages, shared between studies
"""


def study_text(settings: DataSettings, *, name: str, file: str = "study.yaml") -> str:
    """Writes a commented study file.

    Args:
        settings: the data; backgrounds are chosen here where they are `none`.
        name: name of the study.
        file: what its comments call the file.
    """
    backgrounds = settings.backgrounds if settings.backgrounds != "none" else _backgrounds(settings)
    families = ["dcgan", "wgan_gp", *(["lm_gan", "pe_gan"] if settings.size_px >= 32 else []), "cutpaste"]
    boxes = f"  boxes_path: {json.dumps(settings.boxes_path)}   # VOC XML boxes of the images\n" if settings.boxes_path else ""
    return _TEXT.format(
        file=file,
        name=name,
        dataset=settings.dataset,
        path=json.dumps(settings.path),
        size_px=settings.size_px,
        channels=settings.channels,
        images_per_class=settings.images_per_class,
        val_fraction=settings.val_fraction,
        test_fraction=settings.test_fraction,
        protocol=settings.protocol,
        defect_free=settings.defect_free,
        backgrounds=backgrounds,
        boxes=boxes,
        families=", ".join(families),
    )


def _backgrounds(settings: DataSettings) -> str:
    """Chooses where backgrounds come from: the data set's own defect-free images where it has some, mined crops otherwise."""
    if settings.backgrounds_path is not None:
        return "folder"
    try:
        listing = load_listing(settings)
    except DatasetError:
        # Checking the study, which follows, says what is wrong with the images.
        return "crops"
    return "folder" if any(sample.cls == DEFECT_FREE for sample in listing.samples) else "crops"
