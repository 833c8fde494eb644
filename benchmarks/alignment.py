"""Time and memory of FSD and LCS against a loop over the cells, forward and backward, one thread.

    python benchmarks/alignment.py                  the loop only for sizes where it takes seconds
    python benchmarks/alignment.py --full           the loop for every size
    python benchmarks/alignment.py --device cuda    with columns for this device

The loop is the reference implementation in `tests/reference_alignment.py`. Values and gradients of
both are compared first, and again for every size for which the loop runs.

Time: median CPU time of repeated runs, which depends less on other processes than wall-clock time;
on another device wall-clock time. The loop runs once where it takes longer than a second.
Memory: peak resident memory of the process during one run, minus the memory in use before (Linux
only; pages that torch or Python already hold are not counted, so the smallest sizes show 0); on
another device the bytes allocated by torch. The loop does one pair at a time, forward and backward,
so its memory is that of one pair, while that of the batched form is for all pairs.
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
from models.alignment import fine_grained_sequence_distance, longest_common_subsequence
from tests.reference_alignment import slow_fsd, slow_lcs
from utils.device import Device, choose_device
from utils.errors import command

Run: TypeAlias = Callable[[], tuple[Tensor, ...]]  # returns the scores and the gradients
Score: TypeAlias = Callable[..., Tensor]

CPU = choose_device("cpu", "0", "fp32")
PAIRS = (1, 4, 16, 64)
SNIPPETS = (5, 10, 20, 30, 60, 120)
GAMMA, THRESHOLD = 0.1, 0.92
TABLES = {"FSD": 2, "LCS": 1}  # input tables; one for both gaps of FSD, as officially
LOOP_CELLS = {"FSD": 16 * 30**2, "LCS": 16 * 120**2}  # limit of the loop without --full


# The batched form and the loop of each alignment, as functions of (B, L, M) tables.
ALIGNMENTS: dict[str, tuple[Score, Score]] = {
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
    """A run that does all pairs at once, forward and backward."""

    def run() -> tuple[Tensor, ...]:
        inputs = [table.detach().requires_grad_() for table in tables]
        scores = score(*inputs)
        return scores.detach(), *torch.autograd.grad(scores.sum(), inputs)

    return run


def loop_run(score: Score, tables: list[Tensor]) -> Run:
    """A run that does one pair after the other, forward and backward."""

    def run() -> tuple[Tensor, ...]:
        pairs = [
            batched_run(score, [table[pair : pair + 1] for table in tables])()
            for pair in range(len(tables[0]))
        ]
        return tuple(torch.cat(parts) for parts in zip(*pairs, strict=True))

    return run


def seconds(run: Run, device: Device, least: float = 1.0) -> float:
    """Median time in seconds of repeated runs that take at least `least` seconds together."""
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
    """Peak memory of one run in MiB as text; a dash where it cannot be measured."""
    before = reset_peak_memory(device)  # frees unused memory, so that allocating it again counts
    run()
    peak = peak_memory(device)
    return "-" if before is None or peak is None else f"{(peak - before) / 2**20:.1f}"


def check(device: Device) -> None:
    """Compares the batched forms with the loops on rectangular float64 tables with many ties."""
    for rows, columns in ((1, 1), (5, 5), (7, 4), (12, 15)):
        for name, (batched, loop) in ALIGNMENTS.items():
            tables = [
                torch.rand(4, rows, columns, dtype=torch.float64).mul(16).round() / 16
                for _ in range(TABLES[name])
            ]
            moved = [table.to(device.device) for table in tables]
            got = tuple(tensor.cpu() for tensor in batched_run(batched, moved)())
            assert_close(got, loop_run(loop, tables)(), rtol=1e-9, atol=1e-12)
    print(f"equal on {device.device}: values and gradients of both alignments, float64")


def measure(name: str, pairs: int, snippets: int, full: bool, device: Device | None) -> list[str]:
    """Measures one size; returns its line of the table.

    Args:
        name: "FSD" or "LCS".
        pairs: Number of pairs (B).
        snippets: Snippets of both sequences (L).
        full: Whether the loop runs however long it takes.
        device: Another device to measure, if any.
    """
    batched, loop = ALIGNMENTS[name]
    tables = [torch.rand(pairs, snippets, snippets) for _ in range(TABLES[name])]
    run = batched_run(batched, tables)
    run()
    batched_seconds = seconds(run, CPU)
    line = [name, str(pairs), str(snippets), f"{batched_seconds * 1e3:.2f}"]
    memory = megabytes(run, CPU)
    if full or pairs * snippets**2 <= LOOP_CELLS[name]:
        slow_run = loop_run(loop, tables)
        # Rounding of the loop: its float32 gradients are off by up to 1e-3 at L = 120.
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


@command("benchmarks/alignment.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--full", action="store_true", help="run the loop for every size")
    parser.add_argument(
        "--device", default="auto", help="measure this device too (default: CUDA if available)"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = choose_device(arguments.device, "0", "auto")
    other = None if device.on_cpu else device
    check(CPU)
    header = ["", "B", "L", "ms", "loop ms", "ratio", "MiB", "loop MiB, 1 pair"]
    if other:
        check(other)
        header += [f"{other.device} ms", f"{other.device} MiB"]
    widths = [max(8, len(title)) for title in header]
    print(" ".join(title.rjust(width) for title, width in zip(header, widths, strict=True)))
    for name, snippets, pairs in itertools.product(ALIGNMENTS, SNIPPETS, PAIRS):
        line = measure(name, pairs, snippets, arguments.full, other)
        cells = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        print(" ".join(cells), flush=True)


if __name__ == "__main__":
    main()
