import pytest

from cluster import resources


@pytest.mark.parametrize(
    ("cpus", "gpus", "cpus_per_trial", "gpus_per_trial", "workers"),
    [(2, 0, 1, 0, 2), (8, 4, 2, 1, 4), (8, 1, 1, 1 / 3, 3), (1, 0, 4, 0, 1), (16, 4, 8, 0.5, 2), (3.9, 0, 1, 0, 3)],
)
def test_as_many_workers_as_the_scarcer_resource_allows(cpus: float, gpus: float, cpus_per_trial: float, gpus_per_trial: float, workers: int) -> None:
    assert resources.default_workers(cpus=cpus, gpus=gpus, cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial) == workers


def test_a_container_quota_limits_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(resources, "_read", {"/sys/fs/cgroup/cpu.max": "350000 100000"}.get)
    assert resources.usable_cpus() == 3
    monkeypatch.setattr(resources, "_read", {"/sys/fs/cgroup/cpu.max": "max 100000"}.get)
    assert resources.usable_cpus() == 8
    monkeypatch.setattr(resources, "_read", {"/sys/fs/cgroup/cpu.max": "50000 100000"}.get)
    assert resources.usable_cpus() == 1


def test_a_container_limit_bounds_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_read", lambda path: str(2**29) if path.endswith("memory.max") else "")
    assert resources.memory_gib() == 0.5


def test_bf16_is_native_only_where_the_processor_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_read", lambda path: "flags : fpu avx512f avx512_bf16")
    assert resources.cpu_has_bf16()
    monkeypatch.setattr(resources, "_read", lambda path: "flags : fpu avx512f")
    assert not resources.cpu_has_bf16()
