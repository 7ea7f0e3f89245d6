"""Late resolution of names."""

import pytest

from trainables.errors import SettingsError
from trainables.registry import pick, resolve


def test_a_target_is_imported() -> None:
    assert resolve("trainables.registry:resolve") is resolve


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("trainables.registry", "expected the form module:object"),
        (":resolve", "expected the form module:object"),
        ("trainables.registry:resolv", "did you mean 'resolve'"),
    ],
)
def test_a_target_that_names_nothing_is_said(target: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        resolve(target)


def test_an_unknown_name_gets_the_nearest_and_all() -> None:
    registry = {"dcgan": "trainables.registry:pick", "wgan_gp": "trainables.registry:resolve"}
    assert pick(registry, "dcgan", "generator family") is pick
    with pytest.raises(SettingsError, match=r"no generator family is called 'wgan-gp'; did you mean 'wgan_gp'\? there are dcgan, wgan_gp"):
        pick(registry, "wgan-gp", "generator family")
