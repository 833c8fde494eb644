"""Whether training several seeds at once on one device is faster than one after the other.

    python benchmarks/concurrent_runs.py [--device cpu|cuda] [--precision bf16] [--runs 1 2 4]

Each run is a process with its own network, features and optimizer that trains at the shape of the
paper (`benchmarks/trainer.py`); the runs of a group start together. Prints the steps per second of
all runs of a group together, and their ratio to those of the first group: above 1, several seeds at
once finish sooner than one after the other. On the CPU the runs share its cores.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.measuring import prepare
from benchmarks.processes import Worker, available_cores
from benchmarks.trainer import TITLES, Trainer
from config.model_config import make_config
from utils.device import Device, choose_device
from utils.errors import command


def steps_of_run(device: Device, ftcl: bool, steps: int, runs: int) -> Callable[[], None]:
    """The given number of steps in one of `runs` runs, as the work of a `Worker`."""
    prepare(device)
    if device.on_cpu:
        torch.set_num_threads(max(available_cores() // runs, 1))
    trainer = Trainer(make_config(ftcl=ftcl), device).warm_up()
    batches = trainer.batches(steps)
    return lambda: trainer.train(batches)


def steps_per_second(device: Device, ftcl: bool, steps: int, runs: int) -> float:
    """Steps per second of all runs together."""
    workers = [Worker(steps_of_run, device, ftcl, steps, runs) for _ in range(runs)]
    for worker in workers:
        worker.round()  # afterwards all are ready
    start = time.perf_counter()
    for worker in workers:
        worker.start_round()
    for worker in workers:
        worker.finish_round()
    seconds = time.perf_counter() - start
    for worker in workers:
        worker.close()
    return runs * steps / seconds


@command("benchmarks/concurrent_runs.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--precision", default="auto", help="as of main_thu.py")
    parser.add_argument(
        "--runs", type=int, nargs="+", default=[1, 2, 4], help="sizes of the groups (1 2 4)"
    )
    parser.add_argument("--steps", type=int, help="steps of a run (5 on the CPU, 200 on CUDA)")
    given = parser.parse_args()
    device = choose_device(given.device, "0", given.precision)
    steps = given.steps or (5 if device.on_cpu else 200)
    print(f"{device}; torch {torch.__version__}; {steps} steps per run")
    for ftcl, title in TITLES.items():
        rates = {runs: steps_per_second(device, ftcl, steps, runs) for runs in given.runs}
        for runs, rate in rates.items():
            ratio = rate / rates[given.runs[0]]
            print(f"{title}: {runs} at once  {rate:8.2f} steps per second  {ratio:5.2f} x")


if __name__ == "__main__":
    main()
