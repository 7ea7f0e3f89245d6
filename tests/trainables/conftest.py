"""What several tests of whole trials share."""

import pytest

from trainables.inspectors.base import LabelledImages


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[LabelledImages, LabelledImages | None]]:
    """The real and the synthetic images that each inspector is trained on."""
    from trainables.inspectors import stage

    seen: list[tuple[LabelledImages, LabelledImages | None]] = []
    train = stage.train

    def watched(inspector, *, real, synthetic, **more):  # type: ignore[no-untyped-def]
        seen.append((real, synthetic))
        return train(inspector, real=real, synthetic=synthetic, **more)

    monkeypatch.setattr(stage, "train", watched)
    return seen
