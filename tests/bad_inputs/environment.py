"""Problems of the machine: folders that cannot be written, a full disk, devices."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from record.run_lock import locked
from tests.bad_inputs.case import BEGUN, DETECTION, TEST, TESTED, BadInput, folder_instead
from tests.disks import read_only, small_files

LONG = "a" * 300
Evaluated = partial(BadInput, program=DETECTION)


def gpus(count: int) -> AbstractContextManager[object]:
    """Simulates a machine with this number of CUDA devices."""
    return patch.multiple(torch.cuda, is_available=lambda: count > 0, device_count=lambda: count)


@contextmanager
def cuda_memory_for(most: int) -> Iterator[None]:
    """Simulates training steps that run out of CUDA memory with more than `most` videos."""

    def step(net: object, criterion: object, weights: object, batches: Any, *more: object) -> None:
        if any(len(batch.videos) > most for batch in batches):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with patch("experiment.train_one_epoch", step), patch("build.train_one_epoch", step):
        yield


FOLDERS = [
    BadInput("training into a read-only folder", around=lambda: read_only("run")),
    BadInput(
        "training in the directory of a running run",
        around=lambda: locked([Path("run")]),
    ),
    BadInput("a file with the name of the run directory", "--save_dir good.pth"),
    BadInput("a file among the parents of the run directory", "--save_dir good.pth/run"),
    BadInput("a run directory whose name is too long for the system", f"--save_dir {LONG}"),
    BadInput("a data directory whose name is too long for the system", f"--data_dir {LONG}"),
    BadInput(
        "a folder with the name of the prediction file",
        TEST,
        folder_instead("good_predictions.json"),
    ),
    Evaluated(
        "`--csv` into a read-only folder", "--csv run/a.csv", around=lambda: read_only("run")
    ),
]

DISK = [
    BadInput("full when the run starts", around=lambda: small_files(100)),
    BadInput(
        "full when the first checkpoint is written", around=lambda: small_files(5000), leaves=BEGUN
    ),
    BadInput(
        "full when a larger checkpoint is written",
        around=lambda: small_files(20_000),
        leaves=(*BEGUN, "run/THUMOS_best.pth"),
    ),
    BadInput("full when the predictions are written", TEST, around=lambda: small_files(100)),
    BadInput(
        "full when the report is written",
        f"{TEST} --report",
        around=lambda: small_files(20_000),
        leaves=(*TESTED, "good_report/report.json"),
    ),
    Evaluated("full when `--json` is written", "--json a.json", around=lambda: small_files(100)),
]

DEVICES = [
    BadInput(
        "CUDA out of memory",
        "--batch_size 6",
        around=lambda: cuda_memory_for(3),
        leaves=("run/config.json",),
    ),
    BadInput("`--device cuda` without CUDA", "--device cuda", around=lambda: gpus(0)),
    BadInput("`--gpu 7` with 2 devices", "--device cuda --gpu 7", around=lambda: gpus(2)),
    BadInput("`--gpu first`", "--gpu first"),
    BadInput("`--precision tf32` on the CPU", "--precision tf32"),
]
