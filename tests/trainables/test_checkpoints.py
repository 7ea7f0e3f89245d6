"""Training state survives a round trip bit for bit."""

import pytest
import torch

from trainables.checkpoints import state_from_bytes, state_to_bytes


def test_modules_and_optimizers_come_back_bit_for_bit() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1, betas=(0.5, 0.9))
    net(torch.randn(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "step": 3, "note": None, "means": [0.1, torch.tensor(2.0)]}
    back = state_from_bytes(state_to_bytes(state))
    twin = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4))
    twin.load_state_dict(back["net"])
    other = torch.optim.Adam(twin.parameters(), lr=0.5)
    other.load_state_dict(back["optimizer"])
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters(), strict=True))
    assert other.param_groups[0]["lr"] == 0.1 and tuple(other.param_groups[0]["betas"]) == (0.5, 0.9)
    assert torch.equal(other.state[next(iter(twin.parameters()))]["exp_avg"], optimizer.state[next(iter(net.parameters()))]["exp_avg"])
    assert (back["step"], back["note"], back["means"][0], back["means"][1].item()) == (3, None, 0.1, 2.0)


def test_what_is_neither_tensor_nor_plain_is_refused() -> None:
    with pytest.raises(TypeError):
        state_to_bytes({"thing": object()})
