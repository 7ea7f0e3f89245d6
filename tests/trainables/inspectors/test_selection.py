"""The best epoch on validation: which weights are kept, when training stops, and that going on from a checkpoint changes nothing."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from trainables.checkpoints import state_from_bytes, state_to_bytes
from trainables.inspectors import training
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.segmenters import Segmenter
from trainables.inspectors.selection import Selection
from trainables.inspectors.training import Checkpoint, Inspector, build, predict, read_config, train
from trainables.recipe import InspectorPart
from trainables.scores.segmentation import iou, pixel_confusions


def small(**settings: object) -> Inspector:
    own = {"encoder": "tu-test_resnet", "epochs": 4, "min_steps": 8, "batch": 4, "augment": "none", **settings}
    return build("smp:unet", read_config(InspectorPart(kind="smp:unet", settings=own)), size_px=32, channels=1, num_classes=1, device="cpu", seed=0)


def squares(count: int, seed: int) -> LabelledImages:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(90, 160, (count, 1, 32, 32), dtype=torch.uint8, generator=generator)
    masks = torch.zeros(count, 32, 32, dtype=torch.uint8)
    for i in range(count):
        top, left = torch.randint(0, 16, (2,), generator=generator).tolist()
        images[i, :, top : top + 16, left : left + 16] = 235
        masks[i, top : top + 16, left : left + 16] = 1
    return LabelledImages(images=images, labels=torch.zeros(count, dtype=torch.int64), masks=masks, marked=torch.ones(count, dtype=torch.bool))


def weights_of(inspector: Inspector) -> Tensor:
    return torch.cat([value.double().reshape(-1) for value in inspector.network.state_dict().values()])


@pytest.fixture
def merits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the epochs are worth, in the place of their IoU; taken from the front."""
    told: list[float] = []

    def merit(self: Segmenter, said: Mapping[str, Tensor], known: LabelledImages) -> float:
        assert not self.training and len(said["maps"]) == len(known.labels)
        return told.pop(0)

    monkeypatch.setattr(Segmenter, "merit", merit)
    return told


def stepped(inspector: Inspector, **more: object) -> list[tuple[float, Tensor]]:
    """Trains, and gives the step and the weights at each epoch's end."""
    found = []
    for progress in train(inspector, real=squares(8, 0), validation=squares(4, 1), seed=3, **more):  # type: ignore[arg-type]
        if "val_merit" in progress.metrics:
            found.append((progress.metrics["step"], weights_of(inspector)))
    return found


def test_the_weights_of_the_best_epoch_are_kept(merits: list[float]) -> None:
    merits += [0.2, 0.6, 0.6, 0.1]
    inspector = small()
    epochs = stepped(inspector)
    assert [step for step, _ in epochs] == [2, 4, 6, 8] and merits == []
    assert torch.equal(weights_of(inspector), epochs[1][1]), "the first of equals"
    assert not torch.equal(weights_of(inspector), epochs[3][1])


def test_it_stops_after_epochs_without_a_better_one(merits: list[float]) -> None:
    merits += [0.5, 0.4, 0.3, 0.9]
    inspector = small(patience=2)
    epochs = stepped(inspector)
    assert [step for step, _ in epochs] == [2, 4, 6] and torch.equal(weights_of(inspector), epochs[0][1])


def test_the_last_phase_is_judged_too(merits: list[float]) -> None:
    merits += [0.5, 0.4, 0.3, 0.2, 0.1, 0.9]
    inspector = small(finetune_epochs=2)
    epochs = stepped(inspector)
    assert [step for step, _ in epochs] == [2, 4, 6, 8, 10, 12] and torch.equal(weights_of(inspector), epochs[5][1])


def test_the_last_weights_are_kept_where_settings_say_so(merits: list[float]) -> None:
    inspector = small(select="last")
    assert stepped(inspector) == [], "validation is not even looked at"


def test_looking_at_validation_changes_no_step(merits: list[float]) -> None:
    merits += [0.1, 0.2, 0.3, 0.4]
    looked, blind = small(), small(select="last")
    stepped(looked)
    stepped(blind)
    assert torch.equal(weights_of(looked), weights_of(blind)), "the last epoch is the best"


def test_going_on_from_a_checkpoint_ends_where_an_undisturbed_training_ends(merits: list[float]) -> None:
    merits += [0.2, 0.6, 0.1, 0.3] * 2
    whole = small()
    stepped(whole)
    saved: list[bytes] = []

    def keep(checkpoint: Checkpoint) -> None:
        saved.append(state_to_bytes({"step": checkpoint.step, "seconds": checkpoint.seconds, "state": checkpoint.state}))

    cut = small()
    merits[:] = [0.2, 0.6, 0.1, 0.3]
    stepped(cut, save=keep, save_every_s=0.0)
    merits[:] = [0.1, 0.3]
    gone_on = small(patience=0)
    late = Checkpoint(**state_from_bytes(saved[4]))
    assert late.step == 5 and late.state["selection"]["step"] == 4
    stepped(gone_on, resume=late)
    assert merits == [] and torch.equal(weights_of(gone_on), weights_of(whole))


def test_merit_is_the_mean_iou_of_marked_validation_images() -> None:
    inspector, known = small(), squares(4, 1)
    said = predict(inspector, known.images)
    marked = torch.tensor([True, False, True, True])
    assert known.masks is not None
    partly = LabelledImages(images=known.images, labels=known.labels, masks=known.masks, marked=marked)
    assert inspector.network.merit(said, partly) == iou(pixel_confusions(said["maps"][marked], known.masks[marked], 1))
    assert inspector.network.merit(said, LabelledImages(images=known.images, labels=known.labels)) == 0.0


def test_selection_waits_and_keeps_copies() -> None:
    network, selection = nn.Linear(1, 1), Selection(2)
    assert not selection.offer(0.5, 1, network)
    before = network.weight.detach().clone()
    with torch.no_grad():
        network.weight.add_(1.0)
    assert [selection.offer(0.5, step, network) for step in (2, 3)] == [False, True]
    selection.settle(network)
    assert torch.equal(network.weight, before) and selection.step == 1


@pytest.mark.parametrize(("size_px", "most"), [(16, 256), (64, 256), (128, 64), (256, 16)])
def test_trained_inspectors_are_shown_as_many_pixels_at_a_time_at_any_size(size_px: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = read_config(InspectorPart(kind="fcn", settings={"width": 8}))
    inspector = build("fcn", config, size_px=size_px, channels=1, num_classes=2, device="cpu", seed=0)
    seen: list[int] = []

    def asked(chunk: Tensor, device: str, layout: torch.memory_format) -> Tensor:
        seen.append(len(chunk))
        return torch.zeros(len(chunk), 1, 8, 8)

    monkeypatch.setattr(training, "to_input", asked)
    predict(inspector, torch.zeros(1, 1, 1, 1, dtype=torch.uint8).expand(300, 1, size_px, size_px))
    assert seen == [most] * (300 // most) + ([300 % most] if 300 % most else [])
