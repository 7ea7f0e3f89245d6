"""The data section: what cannot be meant is refused, all at once."""

import pytest

from trainables.datasets.settings import DataSettings
from trainables.errors import SettingsError


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(SettingsError, match=r"size_px: 50[\s\S]*images_per_class: 1[\s\S]*val_fraction \+ test_fraction"):
        DataSettings(size_px=50, images_per_class=1, val_fraction=0.5, test_fraction=0.5)
