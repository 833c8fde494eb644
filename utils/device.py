"""Device and arithmetic precision of the computation; the only file that mentions CUDA."""

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

# What torch reports when memory runs out: on CUDA, on the CPU, and in cuBLAS.
OUT_OF_MEMORY = ("out of memory", "DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED")

# Processor flags in Linux for bfloat16 products, fastest first, with their usual names.
BFLOAT16_INSTRUCTIONS = {
    "amx_bf16": "AMX bf16",
    "avx512_bf16": "AVX512 bf16",
    "svebf16": "SVE bf16",
    "bf16": "bf16",  # ARM
}


@dataclass(frozen=True)
class Device:
    """A device and the precision of its matrix products.

    Attributes:
        device: Device of the model and the data.
        precision: "fp32", "tf32" or "bf16".
    """

    device: torch.device
    precision: str

    @property
    def on_cpu(self) -> bool:
        """Whether this is the CPU, whose memory is the memory of the process."""
        return self.device.type == "cpu"

    @property
    def storage_dtype(self) -> DType:
        """Floating-point type in which to store the inputs of the network."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def autocast(self) -> AbstractContextManager[None]:
        """Context in which matrix products run in bfloat16 if the precision is "bf16"."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def synchronize(self) -> None:
        """Waits until the device has finished all queued work, for timing."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def memory_budget(self, gib: float) -> float:
        """Number of bytes that data may occupy.

        Args:
            gib: Budget in GiB; if negative, half of the memory that is free now, on CUDA the lesser
                of host and GPU memory.
        """
        if gib >= 0:
            return gib * 2**30
        free = free_memory()
        if self.device.type == "cuda":
            free = min(free, torch.cuda.mem_get_info(self.device)[0])
        return free / 2

    def keep_freed_memory(self) -> None:
        """On the CPU, keeps freed memory for later allocations; call it once the data are read."""
        if self.on_cpu:
            keep_freed_memory()

    def __str__(self) -> str:
        if self.device.type == "cuda":
            return f"{torch.cuda.get_device_name(self.device)} ({self.device}), {self.precision}"
        threads = torch.get_num_threads()
        count = f"{threads} threads" if threads > 1 else "1 thread"
        return f"CPU ({instructions()}), {count}, {self.precision}"


def choose_device(device: str, gpu: str, precision: str, deterministic: bool = False) -> Device:
    """Selects the device of this process and sets the precision of matrix products in torch.

    Args:
        device: "auto" (CUDA if available), "cpu" or "cuda".
        gpu: Index of the CUDA device; of a list such as "0,1" the first is used. With several
            processes per node, each passes its own index.
        precision: "auto" (tf32 on CUDA, fp32 on the CPU), "fp32", "tf32" or "bf16", which is
            replaced by "fp32" on a CPU without instructions for it, where it would be slower.
        deterministic: Whether to use only algorithms that give the same bits in every run; on the
            CPU all of them do.

    Raises:
        UserError: If CUDA is requested but not available, if there is no GPU with this index, or if
            the device does not support the precision.
    """
    try:
        number = int(gpu.split(",")[0])
    except ValueError as error:
        raise UserError(f"--gpu {gpu!r}: wanted the index of a CUDA device, such as 0") from error
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda: torch finds no CUDA device; install a CUDA build of torch and a "
            "driver, or use --device cpu"
        )
    if device == "cpu" or not torch.cuda.is_available():
        if precision == "tf32":
            raise UserError("--precision tf32 exists only on CUDA; use fp32 or bf16 on the CPU")
        if precision == "bf16" and has_bfloat16() is False:
            print(
                "warning: this processor has no bfloat16 instructions, so --precision bf16 would "
                "be slower than fp32: computing in fp32"
            )
            precision = "fp32"
        torch.set_float32_matmul_precision("highest")
        return Device(torch.device("cpu"), "fp32" if precision == "auto" else precision)
    if not 0 <= number < torch.cuda.device_count():
        raise UserError(
            f"--gpu {gpu}: this machine has {torch.cuda.device_count()} CUDA devices, "
            f"numbered from 0 to {torch.cuda.device_count() - 1}; with torchrun, start at most one "
            "process per device"
        )
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by cuBLAS
        torch.use_deterministic_algorithms(True)
    chosen = torch.device("cuda", number)
    torch.cuda.set_device(chosen)
    precision = "tf32" if precision == "auto" else precision
    torch.set_float32_matmul_precision("highest" if precision == "fp32" else "high")
    torch.backends.cudnn.allow_tf32 = precision != "fp32"
    # Gradients of convolutions are sums of many thousand products: accumulate them in float32.
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    return Device(chosen, precision)


def instructions() -> str:
    """The processor's instruction sets that determine the speed of matrix products."""
    flags = _processor_flags()
    found = [name for flag, name in BFLOAT16_INSTRUCTIONS.items() if flag in flags]
    return ", ".join([torch.backends.cpu.get_cpu_capability(), *found])


def has_bfloat16() -> bool | None:
    """Whether the processor has bfloat16 instructions; None if the system does not report them."""
    flags = _processor_flags()
    return bool(flags & BFLOAT16_INSTRUCTIONS.keys()) if flags else None


def _processor_flags() -> set[str]:
    try:
        return set(Path("/proc/cpuinfo").read_text().split())
    except OSError:  # not Linux
        return set()


@contextmanager
def explain_out_of_memory(
    device: Device,
    advice: str,
    batch_size: int = 0,
    trial: Callable[[int], object] | None = None,
) -> Iterator[None]:
    """Converts running out of memory inside the block into a `UserError` that says what would fit.

    Args:
        device: Device of the work inside.
        advice: What reduces the memory besides a smaller batch, such as "a smaller --width".
        batch_size: Batch size of the work inside; 0 if no batch size influences its memory.
        trial: Function that does the same work with another batch size. When CUDA memory runs out,
            it is called with smaller and smaller sizes, so that the size in the message is known to
            fit. It is not called on the CPU, where the system may kill the process instead of
            refusing memory.

    Raises:
        UserError: If memory runs out inside the block.
    """
    try:
        yield
        return
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0].rpartition("DefaultCPUAllocator: ")[2][:200]
        can_try = isinstance(error, torch.cuda.OutOfMemoryError)
        traceback.clear_frames(error.__traceback__)  # or its local variables keep the memory
    if trial is None or not can_try:
        wanted = f"a smaller --batch_size or {advice}" if batch_size else advice
        raise UserError(f"out of memory on {device}: {reason}; use {wanted}")
    fits = _largest_that_fits(trial, batch_size)
    if fits == 0:
        raise UserError(
            f"out of memory on {device}: not even --batch_size 1 fits; use {advice}, another --gpu "
            "or --device cpu"
        )
    raise UserError(
        f"out of memory on {device}: --batch_size {batch_size} does not fit, {fits} does (tried); "
        f"use --batch_size {fits - fits // 10} or {advice}"
    )


def _largest_that_fits(trial: Callable[[int], object], too_large: int) -> int:
    """The largest batch size below `too_large` that fits into CUDA memory; 0 if none does."""
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
