"""What the benchmarks measure with: clocks, peaks of memory, processes of their own, ceilings."""

import ctypes
import multiprocessing
import os
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
    """Sets this process up as the program does before it trains."""
    choose_device(device.device.type, str(device.device.index or 0), device.precision)
    device.keep_freed_memory()


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Clock:
    """Milliseconds of named parts, over many rounds."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.times: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Times the block."""
        self.device.synchronize()
        start = time.perf_counter()
        yield
        self.device.synchronize()
        self.times[name].append((time.perf_counter() - start) * 1e3)

    def median(self, name: str) -> float:
        """Of all rounds of this part."""
        return statistics.median(self.times[name])


def median_ms(device: Device, run: Callable[[], object], least: float = 0.5) -> float:
    """Median milliseconds of a call, after a first one, over at least `least` seconds."""
    clock = Clock(device)
    run()
    while len(clock.times["run"]) < 3 or sum(clock.times["run"]) < 1e3 * least:
        with clock.part("run"):
            run()
    return clock.median("run")


def matmul_rate(device: Device) -> float:
    """Floating-point operations a second of a plain matrix product in the device's precision."""
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
    """Bytes a second, read plus written, of a copy that is far larger than the caches."""
    source = torch.ones(2**26, device=device.device)
    target = torch.ones_like(source)
    clock = Clock(device)
    for _ in range(6):
        with clock.part("copy"):
            target.copy_(source)
    return 2 * source.nbytes / (min(clock.times["copy"]) / 1e3)


def peak_memory(device: Device) -> float | None:
    """Highest bytes so far, since `reset_peak_memory` if it was called: of the process, or of torch
    on a GPU; None where the system does not tell."""
    if not device.on_cpu:
        return torch.cuda.max_memory_allocated(device.device)
    return _resident_bytes("VmHWM")


def reset_peak_memory(device: Device) -> float | None:
    """Makes the present use the peak, after giving back what is free; returns its bytes."""
    if not device.on_cpu:
        device.synchronize()
        torch.cuda.reset_peak_memory_stats(device.device)
        return torch.cuda.memory_allocated(device.device)
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():  # not Linux
        return None
    with suppress(AttributeError):  # glibc has it
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


# Of torch's operations those that compute nothing on the device.
NOTHING = tuple(
    f"aten.{name}"
    for name in ("empty", "new_empty", "promote_types", "scalar_tensor", "_unsafe_view")
)


class Operations(TorchDispatchMode):
    """Counts what is computed inside, each of which a GPU must be told of; no views, no allocation.

    Attributes:
        count: of all so far.
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
        aliases = [one.alias_info for one in function._schema.returns]
        view = any(alias and not alias.is_write for alias in aliases)
        if not view and not str(function).startswith(NOTHING):
            self.count += 1
        return function(*args, **(kwargs or {}))


class Side:
    """A process of its own that does rounds of work when asked, so that two can alternate."""

    def __init__(self, make: Callable[..., Callable[[], Any]], *given: Any) -> None:
        """`make(*given)` is called there and returns the work of a round."""
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, make, given), daemon=True)
        self.process.start()

    def ask(self) -> None:
        """Starts a round."""
        self.pipe.send(True)

    def answer(self) -> Any:
        """Waits for the end of the round; what the work returned."""
        return self.pipe.recv()

    def round(self) -> Any:
        """One round from start to end."""
        self.ask()
        return self.answer()

    def end(self) -> None:
        """Ends the process."""
        self.pipe.send(False)
        self.process.join()


def in_own_process(work: Callable[..., Any], *given: Any) -> Any:
    """What `work(*given)` returns in a fresh process, whose memory no other work has touched."""
    side = Side(_once, work, given)
    found = side.round()
    side.end()
    return found


def _once(work: Callable[..., Any], given: tuple[Any, ...]) -> Callable[[], Any]:
    return lambda: work(*given)


def _serve(pipe: Any, make: Callable[..., Callable[[], Any]], given: tuple[Any, ...]) -> None:
    work = make(*given)
    while pipe.recv():
        pipe.send(work())
