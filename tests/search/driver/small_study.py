"""A small study file of real families, whose trials the tests replace by ones that compute next to nothing."""


def small_study(search: str, *, name: str = "small") -> str:
    """Writes the study file, with what stands in its section `search` beside the baseline."""
    return f"""
study: {name}
seed: 1
data: {{size_px: 32, procedural: {{per_class: 12, defect_free: 6}}}}
space:
  generator.family: [dcgan, wgan_gp]
  inspector.kind: [mobilenet_v2]
objectives: {{val_accuracy: maximize, val_kid: minimize}}
scores: {{extractor: random}}
search: {{{search}, baselines: [plain]}}
resources: {{precision: fp32}}
"""
