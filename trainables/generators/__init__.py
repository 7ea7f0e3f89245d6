"""Generator families: one file each, found by name. Listing them imports no torch."""

GENERATORS: dict[str, str] = {
    "gan": "trainables.generators.gan:Gan",
    "dcgan": "trainables.generators.dcgan:Dcgan",
    "lsgan": "trainables.generators.lsgan:Lsgan",
    "wgan_gp": "trainables.generators.wgan_gp:WganGp",
    "cyclegan": "trainables.generators.cyclegan:CycleGan",
    "stargan": "trainables.generators.stargan:StarGan",
    "pe_gan": "trainables.generators.pe_gan:PeGan",
    "lm_gan": "trainables.generators.lm_gan:LmGan",
    "sdg_gan": "trainables.generators.sdg_gan:SdgGan",
    "defect_residual": "trainables.generators.defect_residual:DefectResidual",
    "fastgan": "trainables.generators.fastgan:Fastgan",
    "flow_unet": "trainables.generators.flow_unet:FlowUnet",
    "cutpaste": "trainables.generators.cutpaste:CutPaste",
    "perlin": "trainables.generators.perlin:Perlin",
}
"""Family name -> the `GeneratorModel` subclass that builds, trains and samples it."""
