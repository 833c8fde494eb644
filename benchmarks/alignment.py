"""Speed and memory of FSD and LCS against a loop over the cells, forward and backward, one thread.

    python benchmarks/alignment.py                  the loop where it takes seconds
    python benchmarks/alignment.py --full           the loop for every size
    python benchmarks/alignment.py --device cuda    with a column for that device

Values and gradients of both are compared first, and again for every size that the loop runs.

Time: median CPU time of repeated runs, which other processes disturb less than they do the wall
clock; on another device the wall clock. The loop runs once where it takes longer than a second.
Memory: the highest resident memory of the process during one run, less what it held before (Linux
only; pages that torch or Python already hold are not counted, so the smallest sizes show 0); on
another device torch's own count of allocated bytes. The loop goes forward and backward one pair at
a time, so its memory is that of one pair, while the batched form's is that of all pairs.
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor
from torch.testing import assert_close

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import peak_memory, reset_peak_memory
from models.alignment import (
    fine_grained_sequence_distance,
    longest_common_subsequence,
)
from tests.reference_alignment import slow_fsd, slow_lcs
from utils.device import Device, choose_device

Run: TypeAlias = Callable[[], tuple[Tensor, ...]]  # gives the scores and the gradients
Score: TypeAlias = Callable[..., Tensor]

CPU = choose_device("cpu", "0", "fp32")
PAIRS = (1, 4, 16, 64)
SNIPPETS = (5, 10, 20, 30, 60, 120)
GAMMA, THRESHOLD = 0.1, 0.92
TABLES = {"FSD": 2, "LCS": 1}  # FSD: one table for both gaps, as in the released code
LOOP_CELLS = {"FSD": 16 * 30**2, "LCS": 16 * 120**2}  # the loop runs up to here unless --full


# Each program as (batched form, loop), of (B, L, M) tables.
PROGRAMS: dict[str, tuple[Score, Score]] = {
    "FSD": (
        lambda match, gap: fine_grained_sequence_distance(match, gap, gap, GAMMA),
        lambda match, gap: slow_fsd(match, gap, gap, GAMMA),
    ),
    "LCS": (
        lambda similarity: longest_common_subsequence(similarity, THRESHOLD),
        lambda similarity: slow_lcs(similarity, THRESHOLD),
    ),
}


def batched_run(score: Score, tables: list[Tensor]) -> Run:
    """Forward and backward of all pairs at once."""

    def run() -> tuple[Tensor, ...]:
        inputs = [table.detach().requires_grad_() for table in tables]
        scores = score(*inputs)
        return scores.detach(), *torch.autograd.grad(scores.sum(), inputs)

    return run


def loop_run(score: Score, tables: list[Tensor]) -> Run:
    """Forward and backward of one pair after the other."""

    def run() -> tuple[Tensor, ...]:
        pairs = [
            batched_run(score, [table[pair : pair + 1] for table in tables])()
            for pair in range(len(tables[0]))
        ]
        return tuple(torch.cat(parts) for parts in zip(*pairs, strict=True))

    return run


def seconds(run: Run, device: Device, least: float = 1.0) -> float:
    """Median time of repeated runs that together take `least` seconds."""
    clock = time.process_time if device.on_cpu else time.perf_counter
    times: list[float] = []
    while sum(times) < least:
        device.synchronize()
        start = clock()
        run()
        device.synchronize()
        times.append(clock() - start)
    return statistics.median(times)


def megabytes(run: Run, device: Device) -> str:
    """Peak of the memory that one run takes, or a dash where it cannot be measured."""
    before = reset_peak_memory(device)  # what is free is given back, so that taking it anew counts
    run()
    peak = peak_memory(device)
    return "-" if before is None or peak is None else f"{(peak - before) / 2**20:.1f}"


def check(device: Device) -> None:
    """Compares batched forms and loops in float64, on rectangular tables with matches and ties."""
    for rows, columns in ((1, 1), (5, 5), (7, 4), (12, 15)):
        for name, (batched, loop) in PROGRAMS.items():
            tables = [
                torch.rand(4, rows, columns, dtype=torch.float64).mul(16).round() / 16
                for _ in range(TABLES[name])
            ]
            moved = [table.to(device.device) for table in tables]
            got = tuple(tensor.cpu() for tensor in batched_run(batched, moved)())
            assert_close(got, loop_run(loop, tables)(), rtol=1e-9, atol=1e-12)
    print(f"equal on {device.device}: values and gradients of both programs, float64")


def measure(name: str, pairs: int, snippets: int, full: bool, device: Device | None) -> list[str]:
    """One line of the table."""
    batched, loop = PROGRAMS[name]
    tables = [torch.rand(pairs, snippets, snippets) for _ in range(TABLES[name])]
    run = batched_run(batched, tables)
    run()
    batched_seconds = seconds(run, CPU)
    line = [name, str(pairs), str(snippets), f"{batched_seconds * 1e3:.2f}"]
    memory = megabytes(run, CPU)
    if full or pairs * snippets**2 <= LOOP_CELLS[name]:
        slow_run = loop_run(loop, tables)
        # The loop's own rounding: in float32 its gradients are off by up to 1e-3 at L = 120.
        assert_close(run(), slow_run(), rtol=5e-3, atol=5e-3)
        loop_seconds = seconds(slow_run, CPU)
        loop_memory = megabytes(loop_run(loop, [table[:1] for table in tables]), CPU)
        line += [f"{loop_seconds * 1e3:.0f}", f"{loop_seconds / batched_seconds:.0f}"]
        line += [memory, loop_memory]
    else:
        line += ["-", "-", memory, "-"]
    if device:
        run = batched_run(batched, [table.to(device.device) for table in tables])
        run()
        line += [f"{seconds(run, device) * 1e3:.2f}", megabytes(run, device)]
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description="time and memory of FSD and LCS against a loop")
    parser.add_argument("--full", action="store_true", help="run the loop for every size")
    parser.add_argument("--device", default="auto", help="measure this one too (default: CUDA)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = choose_device(arguments.device, "0", "auto")
    other = None if device.on_cpu else device
    check(CPU)
    header = ["", "B", "L", "ms", "loop ms", "ratio", "MB", "loop MB, 1 pair"]
    if other:
        check(other)
        header += [f"{other.device} ms", f"{other.torch} MB"]
    widths = [max(8, len(title)) for title in header]
    print(" ".join(title.rjust(width) for title, width in zip(header, widths, strict=True)))
    for name, snippets, pairs in itertools.product(PROGRAMS, SNIPPETS, PAIRS):
        line = measure(name, pairs, snippets, arguments.full, other)
        cells = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        print(" ".join(cells), flush=True)


if __name__ == "__main__":
    main()
