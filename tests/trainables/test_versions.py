"""Changing what a stage computes is a decision about its VERSION: beside each version stands a hash of the code it was given for.

Where a hash differs: if the same settings now give other numbers, raise the VERSION, so that nothing old is mistaken for new; if they do not (a
message, a clearer line), only take the new hash over from the failure's message.
"""

import ast
import hashlib
import importlib
from operator import attrgetter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SHARED = [f"generators/training/{name}.py" for name in ("loop", "stage", "losses", "diffaugment")]
SHARED += [f"generators/bases/{name}.py" for name in ("subject", "model", "adversarial", "fitted")] + ["generators/networks/layers.py"]
TRANSLATION = ["generators/bases/image_to_image.py", "generators/networks/translators.py"]
"""What the image-to-image families share."""
RESIDUAL = [f"generators/{name}.py" for name in ("defect_residual", "networks/residual", "bases/image_to_image")]
FLOW_UNET = [f"generators/{name}.py" for name in ("flow_unet", "training/flow", "networks/unet", "training/told_changes", "networks/attention")]
PACKS = [f"datasets/{name}.py" for name in ("packs", "survey", "pictures")] + [
    f"datasets/copies/{name}.py" for name in ("groups", "keypoints", "matching", "alignment", "repetition", "additions")
]
STAGES = {
    "datasets.procedural:VERSION": (3, ["datasets/procedural.py", "datasets/surfaces/drawing.py"], "8c5db73e7260"),
    "datasets.surfaces.textures:VERSION": (
        2,
        [f"datasets/surfaces/{name}.py" for name in ("textures", "grounds", "flaws", "drawing")],
        "c11ab662a91b",
    ),
    "datasets.surfaces.strips:VERSION": (1, ["datasets/surfaces/strips.py", "datasets/surfaces/drawing.py"], "5491a0ee9a57"),
    "datasets.surfaces.stereo:VERSION": (1, ["datasets/surfaces/stereo.py", "datasets/surfaces/drawing.py"], "f24d5ad52bd9"),
    "datasets.packs:VERSION": (4, PACKS, "c2695cefadcd"),
    "datasets.patches:VERSION": (1, [f"datasets/{name}.py" for name in ("patches", "borders", "preprocessing")], "1b7778764de7"),
    "datasets.splits:VERSION": (2, ["datasets/splits.py", "datasets/folds.py"], "6d028a061457"),
    "datasets.backgrounds:VERSION": (1, ["datasets/backgrounds.py", "datasets/squares.py"], "39da652218ee"),
    "generators.training.loop:LOOP_VERSION": (2, SHARED, "6a66a6617fd1"),
    "generators.gan:Gan.VERSION": (1, ["generators/gan.py"], "e6d94bf133ca"),
    "generators.lsgan:Lsgan.VERSION": (1, ["generators/lsgan.py", "generators/dcgan.py"], "c3bc8fb416fc"),
    "generators.sdg_gan:SdgGan.VERSION": (1, ["generators/sdg_gan.py", "datasets/augmentation.py"], "db439f850a64"),
    "generators.dcgan:Dcgan.VERSION": (2, ["generators/dcgan.py"], "6487bce24759"),
    "generators.wgan_gp:WganGp.VERSION": (3, ["generators/wgan_gp.py"], "8a261b944e4b"),
    "generators.lm_gan:LmGan.VERSION": (3, ["generators/lm_gan.py", "generators/wgan_gp.py", "generators/training/paths.py"], "eebee8670715"),
    "generators.cyclegan:CycleGan.VERSION": (2, ["generators/cyclegan.py", "generators/training/image_pool.py", *TRANSLATION], "44ebf7bd8cf8"),
    "generators.stargan:StarGan.VERSION": (2, ["generators/stargan.py", *TRANSLATION], "92768b228846"),
    "generators.pe_gan:PeGan.VERSION": (4, ["generators/pe_gan.py", "generators/stargan.py", *TRANSLATION], "018f294054fc"),
    "generators.stylegan2:StyleGan2.VERSION": (
        1,
        ["generators/stylegan2.py", "generators/networks/style.py", "generators/training/ada.py"],
        "c39a7f2d244d",
    ),
    "generators.defect_residual:DefectResidual.VERSION": (2, RESIDUAL, "58c88eccfc5c"),
    "generators.cutpaste:CutPaste.VERSION": (2, ["generators/cutpaste.py", "generators/bases/pasting.py"], "6056a495e4db"),
    "generators.perlin:Perlin.VERSION": (2, ["generators/perlin.py", "generators/bases/pasting.py"], "18bb2f60ad67"),
    "conditioning.stage:VERSION": (1, ["conditioning/stage.py", "conditioning/attributes.py", "conditioning/learned.py"], "11cf2202ab45"),
    "measures.particulars:VERSION": (1, ["measures/particulars.py"], "20c03a45a04b"),
    "generators.fastgan:Fastgan.VERSION": (
        1,
        ["generators/fastgan.py", "generators/networks/fastgan.py", "generators/networks/attention.py"],
        "626b1caa9b1c",
    ),
    "generators.flow_unet:FlowUnet.VERSION": (1, FLOW_UNET, "2005a924f9eb"),
    "generators.tf_vaegan:TfVaegan.VERSION": (1, ["generators/tf_vaegan.py", "generators/bases/features.py"], "2924085f69c5"),
    "generators.vaegan_ce:VaeganCe.VERSION": (
        1,
        ["generators/vaegan_ce.py", "generators/tf_vaegan.py", "generators/bases/features.py"],
        "0f914738ad49",
    ),
    "generators.smote:Smote.VERSION": (1, ["generators/smote.py", "generators/bases/features.py"], "538b5dcc9547"),
    "generators.adasyn:Adasyn.VERSION": (1, ["generators/adasyn.py", "generators/smote.py", "generators/bases/features.py"], "e09b4085b9cf"),
    "synthesis.blocks:VERSION": (2, ["synthesis/blocks.py"], "4d4cd1420bbc"),
    "inspectors.stage:VERSION": (
        1,
        [*(f"inspectors/{name}.py" for name in ("stage", "training", "schedule", "selection", "base")), "datasets/augmentation.py"],
        "3ecb1c976bcb",
    ),
    "measures.throughput:VERSION": (1, ["measures/throughput.py", "scores/costs.py"], "67ecbdc2ab5d"),
    "synthesis.pseudo_masks:VERSION": (1, ["synthesis/pseudo_masks.py"], "da22d0a584ed"),
    "inspectors.segmenters:Segmenter.VERSION": (3, ["inspectors/segmenters.py", "inspectors/pixel_losses.py"], "a642b5acd6e6"),
    "inspectors.head:VERSION": (1, ["inspectors/head.py"], "f3f1c9bb53c9"),
    "inspectors.base:InspectorNetwork.VERSION": (1, ["inspectors/base.py"], "f8ec650091b1"),
    "inspectors.classifiers:Classifier.VERSION": (
        1,
        [f"inspectors/{name}.py" for name in ("classifiers", "stock", "torchvision_networks", "timm_networks", "seeded", "local_weights")]
        + [f"inspectors/{name}.py" for name in ("fcn", "sdg_cnns", "cnn_sca")],
        "b09526c6c6c0",
    ),
    "inspectors.segdecnet:SegDecNet.VERSION": (1, ["inspectors/segdecnet.py", "inspectors/defect_weights.py"], "1821458b92a1"),
    "scores.extractors:VERSION": (1, ["scores/extractors.py", "scores/inception.py"], "3fd455d5ba1d"),
    "scores.extractors:RandomNetwork.VERSION": (1, ["scores/extractors.py"], "322f3ee4663d"),
    "two_stage.training:VERSION": (1, ["two_stage/training.py"], "ca75d6efe422"),
    "zero_shot.split:VERSION": (1, ["zero_shot/split.py", "zero_shot/settings.py"], "3feeb51c16b0"),
    "zero_shot.sources:VERSION": (1, ["zero_shot/sources.py", "conditioning/unseen.py"], "ba3e9b07e1c5"),
    "zero_shot.classifier:VERSION": (
        1,
        ["zero_shot/classifier.py", "zero_shot/router.py", "conditioning/unseen.py", "scores/zero_shot.py"],
        "3fe5a3c1fc64",
    ),
    "zero_shot.answers:VERSION": (1, ["zero_shot/answers.py", "zero_shot/router.py", "conditioning/unseen.py"], "a391ca85f5e4"),
    "datasets.copies.group_columns:VERSION": (1, ["datasets/copies/group_columns.py"], "cb785d832974"),
    "measures.robustness:VERSION": (1, ["measures/robustness.py", "scores/robustness.py", "scores/corruptions.py"], "436659fef624"),
    "scores.textures:VERSION": (1, ["scores/textures.py"], "bf5aca7b6c26"),
    "scores.samples:VERSION": (1, ["scores/samples.py"], "5b6b34ed6f6a"),
}
"""Where below `trainables` a VERSION stands -> the version, the files that decide the numbers, and their hash.

What the generator families share is bound to the loop's version, which is in the key of each of them.
"""

SKIPPED = {"type_params", "type_comment", "type_ignores", "kind", "ctx", "returns", "annotation"}
"""Parts of a syntax tree that decide nothing, or that not every Python has."""


def outline(node: object) -> str:
    """Writes a syntax tree without comments, docstrings, places and layout: equal on every Python that runs this project."""
    if isinstance(node, ast.AST):
        fields = {name: value for name, value in ast.iter_fields(node) if name not in SKIPPED and value not in (None, [])}
        body = fields.get("body")
        if isinstance(body, list):
            fields["body"] = [item for item in body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))]
        return f"{type(node).__name__}({','.join(f'{name}={outline(value)}' for name, value in fields.items())})"
    if isinstance(node, list):
        return f"[{','.join(outline(item) for item in node)}]"
    return repr(node)


def hash_of(files: list[str]) -> str:
    trees = [outline(ast.parse((ROOT / "trainables" / file).read_text(encoding="utf-8"))) for file in files]
    return hashlib.sha256("\n".join(trees).encode()).hexdigest()[:12]


def versions_in(file: Path) -> list[str]:
    """Lists the versions that a file states, as `STAGES` names them."""
    module = ".".join(file.relative_to(ROOT / "trainables").with_suffix("").parts)
    found = []
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for owner, body in [("", tree.body), *((f"{node.name}.", node.body) for node in tree.body if isinstance(node, ast.ClassDef))]:
        for node in body:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) and node.value else []
            found += [f"{module}:{owner}{name.id}" for name in targets if isinstance(name, ast.Name) and name.id.endswith("VERSION")]
    return found


@pytest.mark.parametrize("place", STAGES)
def test_code_and_version_belong_together(place: str) -> None:
    version, files, expected = STAGES[place]
    module, _, attribute = place.partition(":")
    assert (attrgetter(attribute)(importlib.import_module(f"trainables.{module}")), hash_of(files)) == (version, expected)


def test_every_version_and_every_stage_is_bound() -> None:
    files = sorted((ROOT / "trainables").rglob("*.py"))
    assert sorted(place for file in files for place in versions_in(file)) == sorted(STAGES)
    bound = {ROOT / "trainables" / name for _, names, _ in STAGES.values() for name in names}
    keyed = {file for file in files if "stage_key(" in file.read_text(encoding="utf-8")} - {ROOT / "trainables" / "store.py"}
    assert keyed <= bound


def test_the_hash_follows_code_and_not_its_looks() -> None:
    code = 'def f(a: int) -> int:\n    """Adds."""\n    return a + 1\n'
    assert outline(ast.parse(code)) == outline(ast.parse("# why\ndef f(a):\n\n    return (a\n        + 1)\n"))
    assert outline(ast.parse(code)) != outline(ast.parse(code.replace("1", "2")))
