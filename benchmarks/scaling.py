"""Time of a training step against the number of processes that share the batch.

    python benchmarks/scaling.py [--processes 1 2] [--snippets 250] [--channels 512] [--steps 10]

Both stages on random features, with a global batch of 16 videos or pairs for any number of
processes. On the CPU the processes share its cores (with OMP_NUM_THREADS=1 each has one thread), on
CUDA each process has a GPU. First it compares the losses of every run with those of the first one,
for which dropout is off, then it prints the median time of a step in milliseconds and its ratio to
that of the first run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.processes import available_cores
from benchmarks.random_data import random_split
from build import build_batches, build_criterion, build_network, build_optimizer, loss_weights
from config.model_config import Config, make_config
from dataset.dataset import Dataset, Split
from engine import train_one_epoch
from utils.device import Device, choose_device
from utils.distributed import Processes, all_processes
from utils.errors import command
from utils.seed import seed_everything

VIDEOS, CLASSES, BATCH_SIZE = 96, 20, 16


def measure(
    config: Config, device: Device, split: Split, steps: int, processes: Processes
) -> dict[str, Any]:
    """Trains for some steps in one of the processes.

    Returns:
        The device, the median time of a step in milliseconds, and the mean losses by name.
    """
    split = split.to(device.device)
    device.keep_freed_memory()
    generator = seed_everything(0, processes.rank)
    data = Dataset(tuple(map(str, range(CLASSES))), {}, {"train": split}, "")
    net = build_network(config, data, {}).to(device.device)
    trained = processes.data_parallel(net)
    batches = build_batches(config, split, generator, device.device)
    full = [batch for batch in batches if len(batch.videos) == BATCH_SIZE * batch.unit]
    ends: list[float] = []

    def after_step() -> None:
        device.synchronize()
        ends.append(time.perf_counter())

    report = train_one_epoch(
        trained,
        build_criterion(config, net),
        loss_weights(config),
        (full * steps)[: steps + 2],
        split,
        build_optimizer(config, net),
        device,
        after_step,
        processes,
    )
    times = [end - start for start, end in pairwise(ends[1:])]  # two steps are warm-up
    median = statistics.median(times) * 1e3
    return {"device": str(device), "ms": median, "losses": report.losses}


def launch(world_size: int, flags: list[str]) -> list[dict[str, Any]]:
    """Runs `measure` for both stages in processes started with torchrun; returns its results.

    Args:
        world_size: Number of processes.
        flags: Flags of this script.
    """
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(world_size)]
    threads = str(max(available_cores() // world_size, 1))
    done = subprocess.run(
        [sys.executable, *torchrun, __file__, "--worker", *flags],
        env={"OMP_NUM_THREADS": threads, **os.environ},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(runs: dict[int, list[dict[str, Any]]], stage: int, digits: float) -> None:
    """Checks that all runs of a stage have the same losses, then prints their times.

    Args:
        runs: Results of `launch` by number of processes; the first is compared with the others.
        stage: 0 for ACM-Net, 1 for FTCL-Net.
        digits: Relative tolerance of the losses.
    """
    first = next(iter(runs.values()))[stage]
    for world_size, found in runs.items():
        for term, loss in found[stage]["losses"].items():
            wanted = first["losses"][term]
            # In LCS rounding may decide whether two snippets match.
            tolerance = max(digits, 1e-2) if term == "lcs" else digits
            if abs(loss - wanted) > tolerance * max(abs(wanted), 1):
                sys.exit(f"{world_size} processes: the loss {term} is {loss}, wanted {wanted}")
        ms = found[stage]["ms"]
        device = found[stage]["device"]
        print(
            f"  {world_size:3d} processes  {ms:9.1f} ms per step  {ms / first['ms']:5.2f} x"
            f"   ({device})"
        )


@command("benchmarks/scaling.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    parser.add_argument("--snippets", type=int, default=250, help="snippets of a video (250)")
    parser.add_argument("--channels", type=int, default=512, help="channels of a snippet (512)")
    parser.add_argument("--steps", type=int, default=10, help="timed steps (10)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--precision", default="auto", help="as of main_thu.py")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given)
        return
    runs = {world_size: launch(world_size, sys.argv[1:]) for world_size in given.processes}
    digits = 1e-2 if given.precision == "bf16" else 1e-4
    for stage, name in enumerate(("ACM-Net, 16 videos", "FTCL-Net, 16 pairs")):
        print(f"{name} of {given.snippets} snippets of {given.channels} channels")
        report(runs, stage, digits)


def work(given: argparse.Namespace) -> None:
    """Measures both stages in one of the processes; the main process prints the results as JSON."""
    shape = {"num_snippets": given.snippets, "batch_size": BATCH_SIZE, "dropout": 0.0}
    shape |= {"device": given.device, "precision": given.precision}
    lengths = torch.full((VIDEOS,), given.snippets + 50)  # longer than the sample
    labels = torch.eye(CLASSES)[torch.arange(VIDEOS) % CLASSES]
    with all_processes() as processes:
        device = choose_device(given.device, str(processes.local_rank), given.precision)
        split = random_split(lengths, given.channels, labels, device.storage_dtype)
        found = [
            measure(make_config(ftcl=ftcl, **shape), device, split, given.steps, processes)
            for ftcl in (False, True)
        ]
        print(json.dumps(found))


if __name__ == "__main__":
    main()
