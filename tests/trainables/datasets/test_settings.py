"""The data section: what cannot be meant is refused, all at once."""

import pytest

from trainables.datasets.settings import DataSettings
from trainables.errors import SettingsError


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(SettingsError, match=r"size_px: 50[\s\S]*images_per_class: 1[\s\S]*val_fraction \+ test_fraction[\s\S]*backgrounds_path"):
        DataSettings(size_px=50, images_per_class=1, val_fraction=0.5, test_fraction=0.5, backgrounds_path="x")


def test_a_folder_of_backgrounds_goes_with_its_mode() -> None:
    assert DataSettings(backgrounds="folder", backgrounds_path="x").backgrounds_path == "x"
    with pytest.raises(SettingsError, match="set backgrounds: folder"):
        DataSettings(backgrounds="crops", backgrounds_path="x")
