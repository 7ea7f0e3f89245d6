"""Weights from local files: read without a pickle's code, refused by name where they do not fit, and shown what they were trained on."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision import models

from trainables.errors import SettingsError
from trainables.inspectors import INSPECTORS
from trainables.inspectors.local_weights import read_shapes, read_weights
from trainables.inspectors.stock import Normalised
from trainables.registry import pick


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """What torchvision would give for MobileNetV2."""
    torch.manual_seed(0)
    state: dict[str, Tensor] = models.mobilenet_v2(weights=None).state_dict()
    return state


def saved(state: dict[str, Any], path: Path) -> str:
    if path.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    else:
        torch.save(state, path)
    return str(path)


def problems(kind: str, path: str, *, channels: int = 1, size_px: int = 32, **settings: object) -> list[str]:
    chosen = pick(INSPECTORS, kind, "inspector")
    found: list[str] = chosen.problems(chosen.Config(weights=path, **settings), size_px=size_px, channels=channels)
    return found


def begun(kind: str, path: str, *, channels: int) -> Any:
    chosen = pick(INSPECTORS, kind, "inspector")
    config = chosen.Config(weights=path)
    torch.manual_seed(1)
    made = chosen(config, size_px=32, channels=channels, num_classes=3).eval()
    made.config = config
    made.begin()
    return made


@pytest.mark.parametrize("file", ["m.pth", "m.safetensors"])
def test_a_networks_own_weights_fit_and_begin_it(published: dict[str, Tensor], tmp_path: Path, file: str) -> None:
    path = saved(published, tmp_path / file)
    assert problems("mobilenet_v2", path) == problems("mobilenet_v2", path, channels=3, head="fc") == []
    made = begun("mobilenet_v2", path, channels=1)
    body = made.body().state_dict()
    assert all(torch.equal(value, published[f"features.{name}"]) for name, value in body.items())
    assert made.head.out_features == 3


def test_grey_images_are_shown_as_three_equal_channels(published: dict[str, Tensor], tmp_path: Path) -> None:
    path = saved(published, tmp_path / "m.pth")
    grey, colour = (begun("mobilenet_v2", path, channels=channels) for channels in (1, 3))
    x = torch.rand(2, 1, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(grey(x), colour(x.expand(-1, 3, -1, -1)))
        # What torchvision's own preparation would show the network: pixels of 0..1, less the mean, over the deviation.
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        torch.testing.assert_close(Normalised()(x), ((x + 1) / 2 - mean) / std)


def test_what_does_not_fit_is_named(published: dict[str, Tensor], tmp_path: Path) -> None:
    first = "features.0.0.weight"
    cut = published | {first: torch.zeros(32, 1, 3, 3)}
    (text,) = problems("mobilenet_v2", saved(cut, tmp_path / "cut.pth"))
    assert text.startswith("weights: ") and text.endswith(f"cut.pth: 1 of 312 tensors do not fit: {first}: expected 32x3x3x3, found 32x1x3x3")
    less = {name: value for name, value in published.items() if name != first}
    assert f"{first}: expected 32x3x3x3, found none" in problems("mobilenet_v2", saved(less, tmp_path / "less.safetensors"))[0]
    more = published | {"features.99.weight": torch.zeros(1)}
    assert "features.99.weight: expected none, found 1" in problems("mobilenet_v2", saved(more, tmp_path / "more.pth"))[0]
    (text,) = problems("resnet18", saved(published, tmp_path / "other.pth"))
    assert "conv1.weight: expected 64x3x7x7, found none" in text and "more" in text
    with pytest.raises(SettingsError, match=r"cut\.pth: 1 of 312 tensors do not fit"):
        begun("mobilenet_v2", str(tmp_path / "cut.pth"), channels=1)


def test_counts_of_batches_may_be_absent_and_wrappers_are_opened(published: dict[str, Tensor], tmp_path: Path) -> None:
    old = {name: value for name, value in published.items() if not name.endswith("num_batches_tracked")}
    path = saved({"state_dict": old, "epoch": 3}, tmp_path / "old.pth")
    assert problems("mobilenet_v2", path) == []
    assert read_shapes(path) == {name: tuple(value.shape) for name, value in old.items()}


class _Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("run",)


def test_files_of_other_things_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weights": _Harmful()}, tmp_path / "harm.pth")
    torch.save({"a": 1}, tmp_path / "numbers.pth")
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    cases = {
        "harm.pth": "not a state dict",
        "numbers.pth": "expected tensors by name",
        "text.pth": "not a state dict",
        "text.safetensors": "not a safetensors file",
        "none.pth": "no such file",
    }
    for file, message in cases.items():
        for read in (read_shapes, read_weights):
            with pytest.raises(SettingsError, match=message):
                read(str(tmp_path / file))
        assert message in problems("mobilenet_v2", str(tmp_path / file))[0]
    assert capsys.readouterr().out == "", "nothing in a file is run"


def test_timm_models_begin_with_timms_weights(tmp_path: Path) -> None:
    path = saved(timm.create_model("test_resnet", pretrained=False).state_dict(), tmp_path / "t.safetensors")
    assert problems("timm:test_resnet", path) == []
    assert "tensors do not fit" in problems("timm:test_efficientnet", path)[0]
    made = begun("timm:test_resnet", path, channels=1)
    assert torch.equal(made.body().state_dict()["layer1.0.conv1.weight"], read_weights(path)["layer1.0.conv1.weight"])


def test_weights_of_an_earlier_run_are_checked_before_anything_trains(tmp_path: Path) -> None:
    chosen = pick(INSPECTORS, "fcn", "inspector")
    wide, narrow = chosen.Config(width=8), chosen.Config(width=4)
    path = saved(chosen(wide, size_px=16, channels=1, num_classes=3).state_dict(), tmp_path / "run.safetensors")

    def said(start: Any, num_classes: int | None) -> list[str]:
        found: list[str] = chosen.problems(chosen.Config(width=start.width, start_from=path), size_px=16, channels=1, num_classes=num_classes)
        return found

    assert said(wide, 3) == said(wide, None) == []
    (text,) = said(wide, 4)
    assert text.startswith(f"start_from: {path}: 2 of 20 tensors do not fit: head.weight: expected 4x8, found 3x8; head.bias: expected 4, found 3; ")
    assert "trunk.0.weight: expected 4x1x7x7, found 8x1x7x7" in said(narrow, None)[0]


@pytest.mark.parametrize(
    ("kind", "settings", "wrong", "said"),
    [
        ("segdecnet", {"width": 0.05}, {"width": 0.1}, "tensors do not fit"),
        ("smp:unet", {"encoder": "tu-test_resnet"}, {"encoder": "tu-test_efficientnet"}, "tensors do not fit"),
    ],
)
def test_detectors_and_segmenters_too(kind: str, settings: dict[str, Any], wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
    chosen = pick(INSPECTORS, kind, "inspector")
    path = saved(chosen(chosen.Config(**settings), size_px=32, channels=1, num_classes=1).state_dict(), tmp_path / "run.safetensors")

    def told(own: dict[str, Any], num_classes: int | None) -> list[str]:
        found: list[str] = chosen.problems(chosen.Config(**own, start_from=path), size_px=32, channels=1, num_classes=num_classes)
        return found

    assert told(settings, None) == told(settings, 1) == []
    (text,) = told(wrong, None)
    assert text.startswith(f"start_from: {path}: ") and said in text
    missing = chosen.problems(chosen.Config(**settings, start_from=str(tmp_path / "none.pth")), size_px=32, channels=1)
    assert len(missing) == 1 and "no such file" in missing[0]


def test_the_classes_of_a_segmenter_s_weights_count_once_they_are_known(tmp_path: Path) -> None:
    chosen = pick(INSPECTORS, "smp:unet", "inspector")
    config = chosen.Config(encoder="tu-test_resnet")
    path = saved(chosen(config, size_px=32, channels=1, num_classes=3).state_dict(), tmp_path / "run.safetensors")
    own = chosen.Config(encoder="tu-test_resnet", start_from=path)
    assert chosen.problems(own, size_px=32, channels=1) == chosen.problems(own, size_px=32, channels=1, num_classes=3) == []
    (text,) = chosen.problems(own, size_px=32, channels=1, num_classes=2)
    assert "2 of " in text and "segmentation_head.0.weight: expected 2x" in text


def test_state_dicts_of_torch_s_older_format_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_weights(str(path))["w"], torch.ones(2))
