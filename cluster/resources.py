"""What a machine offers: processors, accelerators, memory and bf16. Read by the runner, which shares it out, and by `doctor`, which shows it."""

import os
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What this machine offers to one process."""

    cpus: int
    """Processors this process may use: the least of affinity and container quota, at least 1."""
    gpus: tuple[str, ...]
    """Names of the visible CUDA devices."""
    gpu_memory_gib: tuple[float, ...]
    """Memory of each of them."""
    memory_gib: float
    """Main memory, or the container's limit where that is less."""
    bf16: bool
    """True where bf16 is faster than float32: on the GPUs where there are any, else on the processor."""


def detect() -> Machine:
    """Looks at the machine. Asks torch about CUDA, which takes a second where torch was not yet imported."""
    import torch

    names, sizes, fast = [], [], []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        names.append(properties.name)
        sizes.append(properties.total_memory / GIB)
        # Volta and Turing emulate bf16; it is native from compute capability 8 on.
        fast.append(properties.major >= 8)
    return Machine(
        cpus=usable_cpus(), gpus=tuple(names), gpu_memory_gib=tuple(sizes), memory_gib=memory_gib(), bf16=all(fast) if fast else cpu_has_bf16()
    )


def usable_cpus() -> int:
    """Counts the processors this process may use; a container's quota of 1.5 counts as 1."""
    counts = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    quota, period = (_read("/sys/fs/cgroup/cpu.max").split() + ["", ""])[:2]
    if not quota:
        quota, period = _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        counts.append(int(quota) // int(period))
    return max(1, min(counts))


def memory_gib() -> float:
    """Gives the main memory in GiB, or the container's limit where that is less."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if (limit := _read(path)).isdigit():
            sizes.append(int(limit))
    return min(sizes) / GIB


def cpu_has_bf16() -> bool:
    """Tells whether the processor multiplies bf16 natively; without that, bf16 is slower than float32."""
    flags = _read("/proc/cpuinfo")
    return "avx512_bf16" in flags or "amx_bf16" in flags


def default_workers(*, cpus: float, gpus: float, cpus_per_trial: float, gpus_per_trial: float) -> int:
    """Counts the trials that fit at once, at least 1.

    Args:
        cpus: processors of the machine or the whole cluster.
        gpus: accelerators of the same.
        cpus_per_trial: processors a trial holds.
        gpus_per_trial: accelerators a trial holds, in fractions where several share one; 0 leaves accelerators alone.
    """
    fits = [cpus / cpus_per_trial] if cpus_per_trial > 0 else []
    if gpus_per_trial > 0:
        fits.append(gpus / gpus_per_trial)
    # A little slack: 1 / (1 / 3) must count as 3.
    return max(1, int(min(fits, default=1.0) + 1e-4))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
