"""Extractors: the FID network against torch-fidelity's on one seeded state, what resolves to which, and features kept by key."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trainables.errors import SettingsError
from trainables.recipe import ScorePart
from trainables.scores import extractors
from trainables.scores.distances import frechet, kid
from trainables.scores.extractors import make_extractor, resolve_extractor, stored_features
from trainables.scores.inception import FIDInception, resize_tf1
from trainables.store import Store


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of Inception weights drawn from a seed: they see nothing, but carry every layer's differences on."""
    network = FIDInception()
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    path = tmp_path_factory.mktemp("weights") / "seeded.pth"
    torch.save(network.state_dict(), path)
    return path


def noise(count: int, *, seed: int, channels: int = 3, top: int = 256) -> Tensor:
    return torch.randint(0, top, (count, channels, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_fid_and_kid_equal_torch_fidelity_s_on_one_seeded_state(weights: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    ours = make_extractor(ScorePart(extractor="inception", inception_weights=str(weights)), device="cpu")
    theirs = FeatureExtractorInceptionV3("seeded", ["2048"], str(weights))
    sets = [noise(8, seed=1), noise(8, seed=2, top=200)]
    with torch.inference_mode():
        mine, other = [ours.run(images) for images in sets], [theirs(images)[0] for images in sets]
    assert mine[0].shape == (8, 2048)
    fid = next(iter(fid_statistics_to_metric(*map(fid_features_to_statistics, other), verbose=False).values()))
    assert frechet(*mine) == pytest.approx(fid, rel=1e-4)
    their_kid = next(iter(kid_features_to_metric(*other, kid_subsets=1, kid_subset_size=8, verbose=False).values()))
    assert kid(*mine) == pytest.approx(their_kid, rel=1e-4)


@pytest.mark.parametrize(("old", "new"), [(64, 299), (512, 299), (5, 7)])
def test_the_resize_is_tensorflow_1_s(old: int, new: int) -> None:
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    x = noise(2, seed=3)[:, :, :old, :old].float() if old <= 32 else torch.rand(1, 2, old, old, generator=torch.Generator().manual_seed(3)) * 255
    theirs = interpolate_bilinear_2d_like_tensorflow1x(x, size=(new, new), align_corners=False)
    assert torch.allclose(resize_tf1(x, new), theirs, atol=1e-3)


def test_grey_images_are_seen_as_equal_channels() -> None:
    extractor = make_extractor(ScorePart(extractor="random"), device="cpu")
    grey = noise(3, seed=1, channels=1)
    assert torch.equal(extractor.run(grey), extractor.run(grey.expand(-1, 3, -1, -1)))


def test_random_features_tell_textures_apart_and_never_change() -> None:
    extractor = make_extractor(ScorePart(extractor="random"), device="cpu")
    rough, smooth = noise(40, seed=1), noise(40, seed=2) // 4 + 96
    features = extractor.run(rough)
    assert features.shape == (40, 448)
    assert torch.isfinite(features).all()
    assert kid(features, extractor.run(smooth)) > 20 * abs(kid(features, extractor.run(noise(40, seed=3))))
    weight = extractors.RandomNetwork().layers[0].weight
    assert weight[0, 0, 0, 0].item() == pytest.approx(0.0517827, rel=1e-5), "other weights mean other numbers: raise its VERSION"


@pytest.mark.parametrize("name", ["inspector", "random"])
def test_extractors_without_weights_resolve_to_themselves(name: str) -> None:
    assert resolve_extractor(name) == (name, None, None)


def test_auto_is_inception_only_where_its_weights_are(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert resolve_extractor("auto", download=False) == ("inspector", None, None)
    content = weights.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(extractors, "WEIGHTS_HASH_STARTS", digest[:8])
    kept = tmp_path / "checkpoints" / extractors.WEIGHTS_NAME
    kept.parent.mkdir()
    kept.write_bytes(content)
    assert resolve_extractor("auto", download=False) == ("inception", str(kept), digest)
    assert resolve_extractor("inception", str(weights), expected_hash=digest) == ("inception", str(weights), digest)


def test_a_download_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = tmp_path / "served.pth"
    served.write_bytes(b"not the weights")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    for url in (served.as_uri(), (tmp_path / "absent").as_uri()):
        monkeypatch.setattr(extractors, "WEIGHTS_URL", url)
        assert resolve_extractor("auto").name == "inspector"
    assert list((tmp_path / "hub" / "checkpoints").iterdir()) == []


def test_a_download_of_the_standard_weights_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = tmp_path / "served.pth"
    served.write_bytes(b"stands for the weights")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(extractors, "WEIGHTS_URL", served.as_uri())
    monkeypatch.setattr(extractors, "WEIGHTS_HASH_STARTS", hashlib.sha256(served.read_bytes()).hexdigest()[:8])
    resolved = resolve_extractor("auto")
    assert resolved.name == "inception" and Path(str(resolved.weights_path)).read_bytes() == served.read_bytes()


def test_weights_that_cannot_be_had_or_are_others_are_refused(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(SettingsError, match="no such file"):
        resolve_extractor("auto", str(tmp_path / "missing.pth"))
    with pytest.raises(SettingsError, match="could not be fetched"):
        resolve_extractor("inception", download=False)
    with pytest.raises(SettingsError, match="could not be fetched"):
        resolve_extractor("auto", expected_hash="6726825d00", download=False)
    with pytest.raises(SettingsError, match="not the standard file"):
        resolve_extractor("inception", str(weights))
    monkeypatch.setattr(extractors, "WEIGHTS_HASH_STARTS", "")
    with pytest.raises(SettingsError, match="this run began with"):
        resolve_extractor("inception", str(weights), expected_hash="6726825d00")
    with pytest.raises(SettingsError, match="not one of auto"):
        resolve_extractor("vgg")
    with pytest.raises(SettingsError, match="on this machine"):
        make_extractor(ScorePart(extractor="inception", inception_weights=str(tmp_path / "missing.pth")), device="cpu")


def test_features_are_taken_once_for_a_key(tmp_path: Path) -> None:
    store = Store(tmp_path)
    extractor = make_extractor(ScorePart(extractor="random"), device="cpu")
    images = noise(5, seed=1, channels=1)
    first = stored_features(extractor, images, name="val", inputs=["split"], store=store)
    again = stored_features(extractor, images, name="val", inputs=["split"], store=store)
    assert (first.reused, again.reused) == (False, True)
    assert torch.equal(first.values, extractor.run(images)) and torch.equal(again.values, first.values)
    others = [
        stored_features(extractor, images, name="test", inputs=["split"], store=store),
        stored_features(extractor, images, name="val", inputs=["other"], store=store),
        stored_features(extractor, images[:4], name="val", inputs=["split"], store=store),
    ]
    assert len({first.key, *(other.key for other in others)}) == 4
