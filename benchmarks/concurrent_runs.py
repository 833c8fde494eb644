"""Does it pay to train several seeds at once on one device?

    python benchmarks/concurrent_runs.py [--device cpu|cuda] [--precision bf16] [--runs 1 2 4]

Each run is a process with a network, features and an optimizer of its own that takes steps at the
paper's shape (`benchmarks/trainer.py`); the runs of a group start together. Prints the steps a
second of all of them and how many times those of the first group this is: above 1, several seeds at
once finish sooner than one after the other. On the CPU the runs share its cores.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.measuring import Side, cores, prepare
from benchmarks.trainer import Trainer
from benchmarks.training import TITLES
from config.model_config import make_config
from utils.device import Device, choose_device


def steps_of_a_run(device: Device, ftcl: bool, steps: int, runs: int) -> Callable[[], None]:
    """One of `runs` runs; the work of a round is so many steps."""
    prepare(device)
    if device.on_cpu:
        torch.set_num_threads(max(cores() // runs, 1))
    trainer = Trainer(make_config(ftcl=ftcl), device).warm_up()
    batches = trainer.batches(steps)
    return lambda: trainer.train(batches)


def steps_a_second(device: Device, ftcl: bool, steps: int, runs: int) -> float:
    """Of all runs together."""
    sides = [Side(steps_of_a_run, device, ftcl, steps, runs) for _ in range(runs)]
    for side in sides:
        side.round()  # all are ready after this
    start = time.perf_counter()
    for side in sides:
        side.ask()
    for side in sides:
        side.answer()
    seconds = time.perf_counter() - start
    for side in sides:
        side.end()
    return runs * steps / seconds


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--steps", type=int, help="default: 5 on the CPU, 200 on CUDA")
    given = parser.parse_args()
    device = choose_device(given.device, "0", given.precision)
    steps = given.steps or (5 if device.on_cpu else 200)
    print(f"{device}; torch {torch.__version__}; {steps} steps a run")
    for ftcl, title in TITLES.items():
        rates = {runs: steps_a_second(device, ftcl, steps, runs) for runs in given.runs}
        for runs, rate in rates.items():
            ratio = rate / rates[given.runs[0]]
            print(f"{title}: {runs} at once  {rate:8.2f} steps a second  {ratio:5.2f} x")


if __name__ == "__main__":
    main()
