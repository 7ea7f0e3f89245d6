"""The two-stage system on small trained parts and procedural textures: routing, alerts, scores, and files."""

import errno
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainables.datasets.packs import Pack, pack_dataset
from trainables.datasets.settings import DataSettings, SurfaceSettings, TextureSettings
from trainables.errors import SettingsError, StoreError
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.training import Inspector, build, features, predict, read_config, train
from trainables.recipe import InspectorPart
from trainables.scores.system import Case
from trainables.store import Store
from trainables.two_stage.system import OUTLINE, WEIGHTS, InspectorDetector, SecondStage, TwoStage, load_system
from trainables.zero_shot.router import Router, plain_reader

KINDS = ("brushed", "woven", "rayed", "perforated")
UNSEEN = "perforated"
ATTRIBUTES = tuple(f"attribute {k}" for k in range(16))
DATA = DataSettings(
    dataset="textures", size_px=32, textures=TextureSettings(kinds=KINDS, good=14, defective=10), surfaces=SurfaceSettings(labels="surfaces")
)


def trained(kind: str, settings: dict[str, object], shown: LabelledImages, classes: int) -> Inspector:
    inspector = build(
        kind, read_config(InspectorPart(kind=kind, settings=settings)), size_px=32, channels=1, num_classes=classes, device="cpu", seed=0
    )
    for _ in train(inspector, real=shown, seed=0):
        pass
    return inspector


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return pack_dataset(DATA, Store(tmp_path_factory.mktemp("pack")))[1]


@pytest.fixture(scope="module")
def system(pack: Pack) -> TwoStage:
    """Three known textures: a small backbone, a router with a threshold upon its features, and a small SegDecNet for each."""
    images, labels = torch.tensor(pack.images), torch.tensor(pack.labels)
    seen = tuple(cls for cls in pack.classes if cls != UNSEEN)
    places = [pack.classes.index(cls) for cls in seen]
    rows = torch.isin(labels, torch.tensor(places)).nonzero()[:, 0]
    own = torch.tensor([places.index(int(label)) for label in labels[rows]])
    shown = LabelledImages(images=images[rows], labels=own)
    backbone = trained("fcn", {"width": 16, "min_steps": 80, "epochs": 1, "batch": 16, "lr": 3e-3}, shown, len(seen))
    found = features(backbone, shown.images)
    reader = plain_reader(found, own)
    # Nearest class mean as a linear head: |x - m|^2 = |x|^2 - 2 x m + |m|^2.
    head = nn.Linear(16, len(seen)).requires_grad_(False)
    head.weight.copy_(2.0 * reader.vectors)
    head.bias.copy_(-reader.vectors.square().sum(1))
    router = Router(reader=reader, head=head, seen=seen, unseen=(), attributes=ATTRIBUTES, uses="features", threshold=None)
    threshold = float(router.answer(found).dissimilarity.quantile(0.95))
    router = Router(reader=reader, head=head, seen=seen, unseen=(), attributes=ATTRIBUTES, uses="features", threshold=threshold)
    detectors = {}
    for cls, place in zip(seen, places, strict=True):
        mine = (labels == place).nonzero()[:, 0]
        defective = torch.tensor(~pack.defect_free)[mine].long()
        assert pack.masks is not None
        known = LabelledImages(
            images=images[mine], labels=defective, masks=torch.tensor(pack.masks)[mine], marked=torch.ones(len(mine), dtype=torch.bool)
        )
        detector = trained("segdecnet", {"width": 0.05, "min_steps": 0, "epochs": 1, "dilate_px": 3}, known, 1)
        median = float(predict(detector, known.images)["scores"].median())
        detectors[cls] = SecondStage(detector=InspectorDetector(inspector=detector), threshold=median)
    return TwoStage(backbone=backbone, router=router, detectors=detectors)


class Spy:
    """A detector that notes what reaches it, and finds every image that is lighter than another defective."""

    def __init__(self) -> None:
        self.met: list[Tensor] = []

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        self.met += list(images)
        return images.float().mean((1, 2, 3)), images[:, 0]


def of(pack: Pack, cls: str) -> Tensor:
    return torch.tensor(pack.images[pack.labels == pack.classes.index(cls)])


def test_an_unseen_surface_reaches_no_detector_and_is_described(system: TwoStage, pack: Pack) -> None:
    spies = {cls: Spy() for cls in system.router.seen}
    watched = TwoStage(
        backbone=system.backbone, router=system.router, detectors={cls: SecondStage(detector=spy, threshold=0.0) for cls, spy in spies.items()}
    )
    strange = of(pack, UNSEEN)
    said = system.route(strange)
    assert float(said.is_unseen.float().mean()) > 0.8, "the threshold that keeps 95 % of what is known finds most of what is not"
    verdicts = watched.inspect(strange)
    assert len(verdicts) == len(strange) and sum(len(spy.met) for spy in spies.values()) == int((~said.is_unseen).sum())
    assert [verdict.alert == "unseen" for verdict in verdicts] == said.is_unseen.tolist()
    for row, verdict in enumerate(verdicts):
        if verdict.alert != "unseen":
            continue
        assert verdict.surface is None and verdict.score is None and verdict.where is None
        assert list(verdict.embedding) == list(ATTRIBUTES) and list(verdict.embedding.values()) == pytest.approx(said.embedded[row].tolist())
        apart = (said.embedded[row] - system.router.reader.vectors).norm(dim=1)
        assert verdict.nearest == system.router.seen[int(apart.argmin())] and verdict.dissimilarity == pytest.approx(float(apart.min()))


def test_each_image_reaches_its_own_surface_s_detector_alone_and_comes_back_in_its_place(system: TwoStage, pack: Pack) -> None:
    spies = {cls: Spy() for cls in system.router.seen}
    watched = TwoStage(
        backbone=system.backbone, router=system.router, detectors={cls: SecondStage(detector=spy, threshold=128.0) for cls, spy in spies.items()}
    )
    mixed = torch.cat([of(pack, cls)[k::7] for k in range(7) for cls in system.router.seen])
    verdicts = watched.inspect(mixed)
    for image, verdict in zip(mixed, verdicts, strict=True):
        asked = [cls for cls, spy in spies.items() if any(torch.equal(image, met) for met in spy.met)]
        assert asked == ([] if verdict.surface is None else [verdict.surface])
        if verdict.surface is not None:
            assert verdict.score == pytest.approx(float(image.float().mean())) and verdict.alert == ("defect" if verdict.score >= 128.0 else "none")
        assert (verdict.where is not None) == (verdict.alert == "defect") == (verdict.where is not None and torch.equal(verdict.where, image[0]))
        assert bool(verdict.embedding) == (verdict.alert != "none")


def test_its_scores_are_those_of_its_verdicts(system: TwoStage, pack: Pack) -> None:
    cases = [Case(pack.classes[label], not clean) for label, clean in zip(pack.labels, pack.defect_free, strict=True)]
    images = torch.tensor(pack.images)
    found, verdicts = system.score(images, cases), system.inspect(images)
    known = [(case, verdict) for case, verdict in zip(cases, verdicts, strict=True) if case.surface != UNSEEN]
    assert found.missed_defects == sum(case.defective and verdict.alert == "none" for case, verdict in known)
    assert found.false_unseen == sum(verdict.surface is None for _, verdict in known)
    assert found.wrong_routing_share is not None and found.wrong_routing_share < 0.2
    assert found.missed_defects_share is not None and found.missed_defects_share < 0.5, "half of the images score above the median"


def test_a_saved_system_says_the_same(system: TwoStage, pack: Pack, tmp_path: Path) -> None:
    system.save(tmp_path / "system")
    assert sorted(path.name for path in (tmp_path / "system").iterdir()) == [OUTLINE, WEIGHTS]
    back, images = load_system(tmp_path / "system"), torch.tensor(pack.images[::3])
    for ours, theirs in zip(system.inspect(images), back.inspect(images), strict=True):
        assert (ours.where is None) == (theirs.where is None)
        assert ours.where is None or (theirs.where is not None and torch.equal(ours.where, theirs.where))
        for name in ("surface", "alert", "nearest", "dissimilarity", "score", "embedding"):
            assert getattr(ours, name) == getattr(theirs, name), name
    size = system.size()
    assert back.size() == size and size.bytes < (tmp_path / "system" / WEIGHTS).stat().st_size < size.bytes + 40_000
    assert size.parameters > sum(value.numel() for value in system.backbone.network.parameters())
    found = system.latency(images[:12])
    assert 0.0 < found.median_ms <= found.p95_ms


def test_files_that_are_not_a_system_s_are_refused(system: TwoStage, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read as a two-stage system"):
        load_system(tmp_path)
    system.save(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    weights.pop("backbone/head.weight")
    save_file(weights, tmp_path / WEIGHTS)
    with pytest.raises(SettingsError, match="is not the file that"):
        load_system(tmp_path)
    unhashed = json.loads((tmp_path / OUTLINE).read_text())
    del unhashed["weights_sha256"]
    (tmp_path / OUTLINE).write_text(json.dumps(unhashed))
    with pytest.raises(SettingsError, match="do not belong together"):
        load_system(tmp_path)
    newer = unhashed | {"format": 99}
    (tmp_path / OUTLINE).write_text(json.dumps(newer))
    with pytest.raises(SettingsError, match="format 99"):
        load_system(tmp_path)


def test_what_is_cut_off_while_it_is_saved_anew_is_never_a_mixed_system(system: TwoStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def cut_off(*names: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("trainables.files.os.replace", cut_off)
    with pytest.raises(StoreError, match="No space left"):
        system.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_every_known_surface_needs_a_detector_and_only_inspectors_are_saved(system: TwoStage, tmp_path: Path) -> None:
    some = dict(list(system.detectors.items())[1:])
    with pytest.raises(SettingsError) as caught:
        TwoStage(backbone=system.backbone, router=system.router, detectors={**some, "rust": next(iter(some.values()))})
    assert len(str(caught.value).splitlines()) == 2
    spied = {cls: SecondStage(detector=Spy(), threshold=0.0) for cls in system.router.seen}
    with pytest.raises(SettingsError, match="is of type Spy"):
        TwoStage(backbone=system.backbone, router=system.router, detectors=spied).save(tmp_path / "spied")
    assert not (tmp_path / "spied").exists()
    with pytest.raises(SettingsError, match="gives images no score"):
        InspectorDetector(inspector=system.backbone)(torch.zeros(2, 1, 32, 32, dtype=torch.uint8))
