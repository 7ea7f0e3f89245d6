"""Studies that name models of timm: read, written and read again, refused where there is no such model, and known to the schema."""

import re
import subprocess
import sys

import pytest

from search.studies.schema import json_schema
from search.studies.study import StudyError
from search.studies.study_file import parse_study

TEXT = """\
study: s
data: {size_px: 16}
space:
  generator.family: dcgan
  inspector.kind: ["timm:test_resnet", fcn]
  inspector.timm:test_resnet: {lr: [1.0e-4, 1.0e-3], augment: saiz}
search: {trials: 12}
"""


def test_a_study_names_a_model_and_narrows_its_settings() -> None:
    study = parse_study(TEXT, "s.yaml")
    assert study.inspectors == ("timm:test_resnet", "fcn")
    names = study.space.names()
    assert names["inspector.timm:test_resnet.lr"].grid(9) == [1e-4, 1e-3] and names["inspector.timm:test_resnet.augment"].default == "saiz"
    assert names["inspector.timm:test_resnet.head"].default == "linear"
    again = parse_study(TEXT.replace("search: {trials: 12}", "search: {trials: 12, try: [{inspector.kind: fcn}]}"), "s.yaml")
    assert again.space == study.space


def test_what_does_not_exist_or_fit_is_refused() -> None:
    with pytest.raises(StudyError, match="no model 'test_resnett'; did you mean timm:test_resnet"):
        parse_study(TEXT.replace("test_resnet", "test_resnett"), "s.yaml", thorough=True)
    with pytest.raises(StudyError, match=r"inspector\.timm:test_resnet\.lrr: no such setting; did you mean inspector\.timm:test_resnet\.lr"):
        parse_study(TEXT.replace("{lr:", "{lrr:"), "s.yaml")


def test_reading_a_study_loads_neither_torch_nor_timm() -> None:
    reading = f"from search.studies.study_file import parse_study\nparse_study({TEXT!r}, 's.yaml')"
    code = f"import sys\n{reading}\nassert not {{'torch', 'timm'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_schema_knows_open_names() -> None:
    space = json_schema()["properties"]["space"]
    patterns = space["properties"]["inspector"]["patternProperties"]
    assert [name for name in ("timm:resnet10t", "smp:unet", "timm:resnet18.a1_in1k") if any(re.fullmatch(pattern, name) for pattern in patterns)] == [
        "timm:resnet10t",
        "smp:unet",
    ]
    assert any(re.fullmatch(name, "inspector.timm:resnet10t.lr") for name in space["patternProperties"])
    kinds = space["properties"]["inspector"]["properties"]["kind"]["anyOf"][0]["anyOf"]
    assert "fcn" in kinds[0]["enum"] and any(re.fullmatch(kind["pattern"], "timm:resnet10t") for kind in kinds[1:])
