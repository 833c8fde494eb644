"""Instruments of the benchmarks: clocks, peak memory, operation counts and hardware limits."""

import ctypes
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from utils.device import Device, choose_device


def prepare(device: Device) -> None:
    """Sets up this process as main_thu.py does before training."""
    choose_device(device.device.type, str(device.device.index or 0), device.precision)
    device.keep_freed_memory()


class Clock:
    """Times of named parts in milliseconds, over many rounds.

    Attributes:
        times: Times of each part, in the order of measurement.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.times: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Times the block, including the work of the device that it has started."""
        self.device.synchronize()
        start = time.perf_counter()
        yield
        self.device.synchronize()
        self.times[name].append((time.perf_counter() - start) * 1e3)

    def median(self, name: str) -> float:
        """Median time of this part over all rounds."""
        return statistics.median(self.times[name])


def median_ms(device: Device, run: Callable[[], object], least: float = 0.5) -> float:
    """Median time of a call in milliseconds, after a warm-up call.

    Args:
        device: Device of the work.
        run: The call.
        least: Shortest total time of the timed calls, in seconds; at least three calls are timed.
    """
    clock = Clock(device)
    run()
    while len(clock.times["run"]) < 3 or sum(clock.times["run"]) < 1e3 * least:
        with clock.part("run"):
            run()
    return clock.median("run")


def matmul_rate(device: Device) -> float:
    """Floating-point operations per second of a matrix product in the precision of the device."""
    size = 4096 if device.on_cpu else 8192
    x, y = (
        torch.randn(size, size, device=device.device).to(device.storage_dtype) for _ in range(2)
    )
    result = torch.empty_like(x)
    clock = Clock(device)
    for _ in range(6):
        with clock.part("matmul"):
            torch.mm(x, y, out=result)
    return 2 * size**3 / (min(clock.times["matmul"]) / 1e3)


def copy_rate(device: Device) -> float:
    """Bytes per second, read plus written, of a copy far larger than the caches."""
    source = torch.ones(2**26, device=device.device)
    target = torch.ones_like(source)
    clock = Clock(device)
    for _ in range(6):
        with clock.part("copy"):
            target.copy_(source)
    return 2 * source.nbytes / (min(clock.times["copy"]) / 1e3)


def peak_memory(device: Device) -> float | None:
    """Peak memory in bytes, since `reset_peak_memory` if it was called.

    Returns:
        Resident memory of the process, or on a GPU the memory allocated by torch; None where the
        system does not report it.
    """
    if not device.on_cpu:
        return torch.cuda.max_memory_allocated(device.device)
    return _resident_bytes("VmHWM")


def reset_peak_memory(device: Device) -> float | None:
    """Frees unused memory and lets the peak start from the memory now in use.

    Returns:
        The memory now in use in bytes, counted as by `peak_memory`.
    """
    if not device.on_cpu:
        device.synchronize()
        torch.cuda.reset_peak_memory_stats(device.device)
        return torch.cuda.memory_allocated(device.device)
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():  # not Linux
        return None
    with suppress(AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    reset.write_text("5")
    return _resident_bytes("VmRSS")


def _resident_bytes(field: str) -> float | None:
    """VmRSS or VmHWM of this process; None where the system is not Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = [line for line in status.read_text().splitlines() if line.startswith(field + ":")]
    return 1024.0 * int(lines[0].split()[1])


# Prefixes of torch operations that compute nothing on the device.
NO_WORK = tuple(
    f"aten.{name}"
    for name in ("empty", "new_empty", "promote_types", "scalar_tensor", "_unsafe_view")
)


class Operations(TorchDispatchMode):
    """Counts the operations inside the block, each a kernel launch on a GPU.

    Views and allocations are not counted.

    Attributes:
        count: Number of operations so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        aliases = [value.alias_info for value in function._schema.returns]
        view = any(alias and not alias.is_write for alias in aliases)
        if not view and not str(function).startswith(NO_WORK):
            self.count += 1
        return function(*args, **(kwargs or {}))
