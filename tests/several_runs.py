"""Runs the experiment several times in the processes started by torchrun; the last run fails.

    torchrun --nproc_per_node N tests/several_runs.py JOBS.json

JOBS.json: For each run its flags and the step (from 0) whose loss is NaN in the last process, or
null. In the last run, the last process fails in that step instead: with a `UserError` if the
environment contains FATAL=error, otherwise by killing itself. A process that reads the features
creates a file `read-by-<rank>` next to JOBS.json. After each run but the last, the main process
prints a line `ended: <error>`.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pytest
import torch
from torch import Tensor

import experiment
from build import build_criterion
from config.command_line import parse_flags
from models.acmnet import ACMOutput
from models.criteria import Criterion
from models.terms import Terms
from utils.distributed import all_processes
from utils.errors import UserError, command


def with_bad_step(bad_step: int | None, fatal: bool = False) -> Callable[..., Criterion]:
    """`build_criterion`, but in one step the guide loss is NaN or (if fatal) the process ends."""

    def make(config: Any, net: Any) -> Criterion:
        criterion, steps = build_criterion(config, net), iter(range(10**6))

        def wrapped(output: ACMOutput, *arguments: Tensor) -> Terms:
            terms = criterion(output, *arguments)
            if next(steps) == bad_step:
                if fatal and os.environ.get("FATAL") == "error":
                    raise UserError("out of something")
                if fatal:
                    os.kill(os.getpid(), signal.SIGKILL)
                terms.losses["guide"] = terms.losses["guide"] * torch.nan
            return terms

        return wrapped  # type: ignore[return-value]

    return make


@command("main_thu.py")
def main() -> None:
    file = Path(sys.argv[1])
    jobs = json.loads(file.read_text())
    read = experiment.read_dataset
    with pytest.MonkeyPatch.context() as patch, all_processes() as processes:

        def read_and_report(*arguments: Any, **keywords: Any) -> Any:
            (file.parent / f"read-by-{processes.rank}").touch()
            return read(*arguments, **keywords)

        def run(flags: list[str], step: int | None, fatal: bool = False) -> None:
            bad_step = step if processes.rank == processes.world_size - 1 else None
            patch.setattr("experiment.build_criterion", with_bad_step(bad_step, fatal))
            experiment.train_or_test(parse_flags("main_thu.py", "", flags), "THUMOS", processes)

        patch.setattr(experiment, "read_dataset", read_and_report)
        for flags, step in jobs[:-1]:
            problem: object = "successfully"
            try:
                with processes.fail_together():
                    run(flags, step)
            except (UserError, SystemExit) as error:
                problem = error
            print(f"ended: {problem}")
        flags, step = jobs[-1]
        run(flags, step, fatal=True)


if __name__ == "__main__":
    main()
