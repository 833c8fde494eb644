"""How the time of a step changes with the number of processes that share the batch.

    python benchmarks/scaling.py [--processes 1 2] [--snippets 250] [--channels 512] [--steps 10]

Both stages, a batch of 16 videos or pairs whatever the number of processes, random features. On the
CPU the processes share its cores (with OMP_NUM_THREADS=1 each has one), on CUDA each has a GPU.
First compares the losses of every run with those of the first one, then prints the median
milliseconds of a step and its ratio to the first. Without dropout, so that losses can be compared.
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

from benchmarks.measuring import cores
from build import build_batches, build_criterion, build_network, build_optimizer, loss_weights
from config.model_config import Config, make_config
from dataset.annotations import Video
from dataset.features.store import FeatureStore
from dataset.layouts import Dataset, Split
from engine import train_one_epoch
from utils.device import Device, choose_device
from utils.distributed import Processes, all_processes
from utils.errors import command
from utils.seed import seed_everything

VIDEOS, CLASSES = 96, 20


def random_split(snippets: int, channels: int, row_type: torch.dtype) -> Split:
    """Videos of a class each, all longer than what is sampled of them."""
    lengths = torch.full((VIDEOS,), snippets + 50)
    rows = torch.rand(int(lengths.sum()), channels, generator=torch.Generator().manual_seed(0))
    store = FeatureStore(rows.to(row_type), lengths.cumsum(0) - lengths, lengths, row_type)
    videos = [Video(f"video {i}", "train", 60.0, ()) for i in range(VIDEOS)]
    labels = torch.eye(CLASSES)[torch.arange(VIDEOS) % CLASSES]
    return Split(videos, store, labels, {})


def measure(
    config: Config, device: Device, split: Split, steps: int, processes: Processes
) -> dict[str, Any]:
    """Trains for some steps; gives their median time and the losses."""
    split = split.to(device.device)
    device.keep_freed_memory()
    generator = seed_everything(0, processes.rank)
    data = Dataset(tuple(map(str, range(CLASSES))), {}, {"train": split}, "")
    net = build_network(config, data, {}).to(device.device)
    processes.broadcast(list(net.state_dict().values()))
    batches = build_batches(config, split, generator, device.device)
    whole = [batch for batch in batches if len(batch.videos) == 16 * batch.unit]
    ends: list[float] = []

    def after_step() -> None:
        device.synchronize()
        ends.append(time.perf_counter())

    report = train_one_epoch(
        net,
        build_criterion(config),
        loss_weights(config),
        (whole * steps)[: steps + 2],
        split,
        build_optimizer(config, net),
        device,
        after_step,
        processes,
    )
    times = [end - start for start, end in pairwise(ends[1:])]  # two steps warm up
    median = statistics.median(times) * 1e3
    return {"device": str(device), "ms": median, "losses": report.losses}


def launch(count: int, arguments: list[str]) -> list[dict[str, Any]]:
    """What `measure` found with so many processes, for both stages."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    threads = str(max(cores() // count, 1))
    done = subprocess.run(
        [sys.executable, *torchrun, __file__, "--worker", *arguments],
        env={"OMP_NUM_THREADS": threads, **os.environ},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


@command("benchmarks/scaling.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--snippets", type=int, default=250)
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    shape = {"num_snippets": given.snippets, "batch_size": 16, "dropout": 0.0}
    shape |= {"device": given.device, "precision": given.precision}
    configs = [make_config(ftcl=ftcl, **shape) for ftcl in (False, True)]
    if given.worker:
        with all_processes() as processes:
            device = choose_device(given.device, str(processes.local_rank), given.precision)
            split = random_split(given.snippets, given.channels, device.storage_dtype)
            found = [measure(config, device, split, given.steps, processes) for config in configs]
            print(json.dumps(found))
        return
    runs = {count: launch(count, sys.argv[1:]) for count in given.processes}
    first = runs[given.processes[0]]
    for stage, name in enumerate(("ACM-Net, 16 videos", "FTCL-Net, 16 pairs")):
        print(f"{name} of {given.snippets} snippets of {given.channels} channels")
        for count, found in runs.items():
            for term, loss in found[stage]["losses"].items():
                expected = first[stage]["losses"][term]
                # In LCS a last digit may decide whether two snippets match.
                digits = 1e-2 if term == "lcs" or given.precision == "bf16" else 1e-4
                if abs(loss - expected) > digits * max(abs(expected), 1):
                    sys.exit(f"{count} processes: {term} is {loss}, wanted {expected}")
            ratio = found[stage]["ms"] / first[stage]["ms"]
            print(
                f"  {count:3d} processes  {found[stage]['ms']:9.1f} ms a step  {ratio:5.2f} x"
                f"   ({found[stage]['device']})"
            )


if __name__ == "__main__":
    main()
