"""Trouble with the machine: folders that cannot be written, a full disk, devices."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch

from tests.bad_inputs.case import DETECTION, TEST, BadInput, folder_instead
from tests.disks import read_only, small_files

LONG = "a" * 300
BEGUN = ("run/config.json", "run/metrics.jsonl")
Scored = partial(BadInput, program=DETECTION)


def gpus(count: int) -> AbstractContextManager[object]:
    """A machine with so many CUDA devices."""
    return patch.multiple(torch.cuda, is_available=lambda: count > 0, device_count=lambda: count)


@contextmanager
def cuda_memory_for(most: int) -> Iterator[None]:
    """A training step that runs out of CUDA memory with more than so many videos."""

    def step(net: object, criterion: object, weights: object, batches: Any, *more: object) -> None:
        if any(len(batch.videos) > most for batch in batches):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with patch("experiment.train_one_epoch", step), patch("build.train_one_epoch", step):
        yield


FOLDERS = [
    BadInput("training into a read-only folder", around=lambda: read_only("run")),
    BadInput("a file where the folder of the run should be", "--save_dir good.pth"),
    BadInput("a file among its parents", "--save_dir good.pth/run"),
    BadInput("a name longer than the system allows", f"--save_dir {LONG}"),
    BadInput("likewise for the data", f"--data_dir {LONG}"),
    BadInput("a folder in place of the predictions", TEST, folder_instead("good_predictions.json")),
    Scored("`--csv` into a read-only folder", "--csv run/a.csv", around=lambda: read_only("run")),
]

DISK = [
    BadInput("full when the run begins", around=lambda: small_files(100)),
    BadInput(
        "full when the first checkpoint is written", around=lambda: small_files(5000), leaves=BEGUN
    ),
    BadInput(
        "full when a larger one is written",
        around=lambda: small_files(20_000),
        leaves=(*BEGUN, "run/THUMOS_best.pth"),
    ),
    BadInput("full when the predictions are written", TEST, around=lambda: small_files(100)),
    BadInput(
        "full when the report is written",
        f"{TEST} --report",
        around=lambda: small_files(20_000),
        leaves=("good_predictions.json",),
    ),
    Scored("full when `--json` is written", "--json a.json", around=lambda: small_files(100)),
]

DEVICES = [
    BadInput(
        "CUDA out of memory",
        "--batch_size 6",
        around=lambda: cuda_memory_for(3),
        leaves=("run/config.json",),
    ),
    BadInput("`--device cuda` without CUDA", "--device cuda", around=lambda: gpus(0)),
    BadInput("`--gpu 7` of 2", "--device cuda --gpu 7", around=lambda: gpus(2)),
    BadInput("`--gpu first`", "--gpu first"),
    BadInput("`--precision tf32` on the CPU", "--precision tf32"),
]
