"""Where and in which precision to compute; the only file that knows about CUDA."""

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import dtype as DType

from utils.errors import UserError
from utils.memory import free_memory, keep_freed_memory

# What torch says when memory runs out: on CUDA, on the CPU, and in cuBLAS.
OUT_OF_MEMORY = ("out of memory", "DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED")

# Flags of Linux for products in bfloat16, the fastest first, and what they are called.
BFLOAT16_INSTRUCTIONS = {
    "amx_bf16": "AMX bf16",
    "avx512_bf16": "AVX512 bf16",
    "svebf16": "SVE bf16",
    "bf16": "bf16",  # of ARM
}


@dataclass(frozen=True)
class Device:
    """A device and the arithmetic of its matrix products.

    Attributes:
        device: the device.
        precision: "fp32", "tf32" or "bf16".
    """

    device: torch.device
    precision: str

    @property
    def on_cpu(self) -> bool:
        """Whether it is the CPU, whose memory is that of the process."""
        return self.device.type == "cpu"

    @property
    def row_type(self) -> DType:
        """In which type features are kept for the network."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def autocast(self) -> AbstractContextManager[None]:
        """Context in which matrix products run in bfloat16 if the precision says so."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def synchronize(self) -> None:
        """Waits until the device has done all its work, for timing."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def memory_budget(self, gib: float) -> float:
        """Bytes that data may take: `gib` GiB; if that is negative, half of the memory that is free
        now, of the host's and, on CUDA, of the GPU's too, whichever is less."""
        if gib >= 0:
            return gib * 2**30
        free = free_memory()
        if self.device.type == "cuda":
            free = min(free, torch.cuda.mem_get_info(self.device)[0])
        return free / 2

    def keep_freed_memory(self) -> None:
        """On the CPU, makes the process keep memory that is freed for what is wanted next; for
        after the data have been read."""
        if self.on_cpu:
            keep_freed_memory()

    def __str__(self) -> str:
        if self.device.type == "cuda":
            return f"{torch.cuda.get_device_name(self.device)} ({self.device}), {self.precision}"
        threads = torch.get_num_threads()
        count = f"{threads} threads" if threads > 1 else "1 thread"
        return f"CPU ({instructions()}), {count}, {self.precision}"


def choose_device(device: str, gpu: str, precision: str, deterministic: bool = False) -> Device:
    """Picks the device of this process and sets torch's precision of matrix products.

    Args:
        device: "auto" (CUDA when there is one), "cpu" or "cuda".
        gpu: number of the CUDA device, as CUDA counts; the first of a list such as "0,1".
            Of several processes on a node each has its own, numbered as they are.
        precision: "auto" (tf32 on CUDA, as the released code ran there; fp32 on the CPU), "fp32",
            "tf32" or "bf16".
        deterministic: only algorithms that give the same bits every time; on the CPU they all do.

    Raises:
        UserError: if there is no CUDA device though one is asked for, no device of this number, or
            the precision does not exist on the device.
    """
    try:
        number = int(gpu.split(",")[0])
    except ValueError as error:
        raise UserError(f"--gpu {gpu!r}: wanted the number of a CUDA device, such as 0") from error
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda: torch sees no CUDA device; install a CUDA build of torch and a driver, "
            "or use --device cpu"
        )
    if device == "cpu" or not torch.cuda.is_available():
        if precision == "tf32":
            raise UserError("--precision tf32 exists only on CUDA; use fp32 or bf16 on the CPU")
        if precision == "bf16" and has_bfloat16() is False:
            print("warning: this processor has no instructions for bfloat16; try fp32 for speed")
        torch.set_float32_matmul_precision("highest")
        return Device(torch.device("cpu"), "fp32" if precision == "auto" else precision)
    if not 0 <= number < torch.cuda.device_count():
        raise UserError(
            f"--gpu {gpu}: this machine has {torch.cuda.device_count()} CUDA devices, "
            f"numbered from 0 to {torch.cuda.device_count() - 1}; with torchrun start no more "
            "processes than that on a machine"
        )
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as cuBLAS asks for
        torch.use_deterministic_algorithms(True)
    chosen = torch.device("cuda", number)
    torch.cuda.set_device(chosen)
    precision = "tf32" if precision == "auto" else precision
    torch.set_float32_matmul_precision("highest" if precision == "fp32" else "high")
    torch.backends.cudnn.allow_tf32 = precision != "fp32"
    # The gradient of the convolution sums 12,000 products: no part of such a sum in bfloat16.
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    return Device(chosen, precision)


def instructions() -> str:
    """The instruction sets of the processor that decide how fast matrix products are."""
    flags = _processor_flags()
    found = [name for flag, name in BFLOAT16_INSTRUCTIONS.items() if flag in flags]
    return ", ".join([torch.backends.cpu.get_cpu_capability(), *found])


def has_bfloat16() -> bool | None:
    """Whether the processor has instructions for products in bfloat16; None if it does not say."""
    flags = _processor_flags()
    return bool(flags & BFLOAT16_INSTRUCTIONS.keys()) if flags else None


def _processor_flags() -> set[str]:
    try:
        return set(Path("/proc/cpuinfo").read_text().split())
    except OSError:  # not Linux
        return set()


@contextmanager
def explain_out_of_memory(
    device: Device, batch_size: int = 0, trial: Callable[[int], object] | None = None
) -> Iterator[None]:
    """Turns running out of memory inside into a `UserError` that says what would fit.

    Args:
        device: where the work inside is done.
        batch_size: of the work inside.
        trial: does the same work with another batch size. It is called with smaller and smaller
            ones when CUDA memory has run out, so the size in the message is one that has fitted;
            not on the CPU, where the system may kill the process instead of refusing memory.

    Raises:
        UserError: if memory runs out inside.
    """
    try:
        yield
        return
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0].rpartition("DefaultCPUAllocator: ")[2][:200]
        can_try = isinstance(error, torch.cuda.OutOfMemoryError)
        traceback.clear_frames(error.__traceback__)  # or its variables keep the memory
    if trial is None or not can_try:
        raise UserError(
            f"out of memory on {device}: {reason}; use a smaller --batch_size or --num_snippets"
        )
    fits = _largest_that_fits(trial, batch_size)
    if fits == 0:
        raise UserError(
            f"out of memory on {device}: not even --batch_size 1 fits; use a smaller "
            "--num_snippets, another --gpu or --device cpu"
        )
    raise UserError(
        f"out of memory on {device}: --batch_size {batch_size} does not fit, {fits} does (tried); "
        f"use --batch_size {fits - fits // 10} or a smaller --num_snippets"
    )


def _largest_that_fits(trial: Callable[[int], object], too_large: int) -> int:
    """The largest batch size below `too_large` that does not run out of CUDA memory; 0 if none."""
    fits = 0
    while too_large - fits > 1:
        size = (fits + too_large) // 2
        torch.cuda.empty_cache()
        try:
            trial(size)
            fits = size
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)
            too_large = size
    return fits


def _is_out_of_memory(error: Exception) -> bool:
    said = any(words in str(error) for words in OUT_OF_MEMORY)
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and said)
