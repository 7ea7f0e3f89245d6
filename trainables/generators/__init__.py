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
    "stylegan2": "trainables.generators.stylegan2:StyleGan2",
    "vaegan_ce": "trainables.generators.vaegan_ce:VaeganCe",
    "tf_vaegan": "trainables.generators.tf_vaegan:TfVaegan",
    "fastgan": "trainables.generators.fastgan:Fastgan",
    "flow_unet": "trainables.generators.flow_unet:FlowUnet",
    "defect_residual": "trainables.generators.defect_residual:DefectResidual",
    "cutpaste": "trainables.generators.cutpaste:CutPaste",
    "perlin": "trainables.generators.perlin:Perlin",
    "smote": "trainables.generators.smote:Smote",
    "adasyn": "trainables.generators.adasyn:Adasyn",
}
"""Family name -> the `GeneratorModel` subclass that builds, trains and samples it."""
