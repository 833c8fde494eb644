"""Runs a sweep file of wandb on this machine, without an account and without the wandb server.

    python tools/sweep.py --runs 20 --output runs/sweep
    python tools/sweep.py --runs 2 --output runs/try --flags --data_dir data/demo --epochs 2 \\
        --checkpoint data/demo/save/baseline/acmnet/THUMOS_latest.pth

Draws the values of every run from config/sweep.yaml (or --sweep FILE), starts one run after the
other with the command of the file, each in its own directory run-1, run-2, ... of --output, and
prints a table with the best last epoch first, which is also written to OUTPUT/sweep.csv. The runs
are logged offline to wandb (unless WANDB_MODE says otherwise); `wandb sync
OUTPUT/*/wandb/offline-run-*` uploads them later. The same command again continues an interrupted
sweep: finished runs are kept.

Flags of the program after --flags hold for all runs, and replace parameters of the file.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from config.command_line import parse_flags
from config.model_config import Config, make_config, resume_free_flags
from eval.detection.average_precision import average_name
from record.summary import summary
from tools.runs import ROOT, read_metrics
from tools.sweep_file import METHODS, Sweep, draw_values, read_sweep, run_command
from utils.errors import UserError, command
from utils.files import write_text

if TYPE_CHECKING:
    import pandas as pd

DATASETS = {"main_thu.py": "THUMOS", "main_act.py": "ActivityNet13"}


def checked_config(sweep: Sweep, values: Mapping[str, Any], flags: Sequence[str]) -> Config:
    """The settings of a run.

    Raises:
        UserError: If a value or a flag is wrong.
    """
    only_flags = Sweep(sweep.path, sweep.program, sweep.method, {}, ["${args_no_boolean_flags}"])
    given = parse_flags(sweep.program, "", [*run_command(only_flags, values, ""), *flags])
    return make_config(**{"dataset": DATASETS.get(sweep.program, "THUMOS"), **given})


def is_complete(config: Config, run_dir: Path) -> bool:
    """Whether a run with these settings has finished in the directory."""
    file = run_dir / "config.json"
    stored = json.loads(file.read_text()) if file.exists() else {}
    free = {*resume_free_flags(), "model_name"}
    same = all(stored.get(name) == v for name, v in config.as_dict().items() if name not in free)
    epochs = [line["epoch"] for line in read_metrics(run_dir)]
    return same and bool(epochs) and epochs[-1] == config.epochs


def start(arguments: Sequence[str], log: Path) -> int:
    """Runs a command in the repository; its output goes into a file. Returns its exit status."""
    # An identifier of its own for every run: it is part of the name, as with `wandb agent`.
    ours = {"WANDB_RUN_ID": uuid.uuid4().hex[:8]}
    environment = {"WANDB_MODE": "offline", **os.environ, **ours}
    with log.open("w", encoding="utf-8") as output:
        return subprocess.run(
            arguments, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        ).returncode


def run_all(
    sweep: Sweep,
    draws: Sequence[dict[str, Any]],
    configs: Sequence[Config],
    flags: Sequence[str],
    output: Path,
) -> list[bool]:
    """Starts every run that has not finished; prints one line for each.

    Returns:
        For every run, whether it has succeeded.
    """
    output.mkdir(parents=True, exist_ok=True)
    succeeded = []
    for number, (values, config) in enumerate(zip(draws, configs, strict=True), 1):
        run_dir, log = output / f"run-{number}", output / f"run-{number}.log"
        shown = " ".join(f"{name}={value}" for name, value in values.items())
        print(f"run {number} of {len(draws)}: {shown}", flush=True)
        if is_complete(config, run_dir):
            print("  finished before")
            succeeded.append(True)
            continue
        began = time.perf_counter()
        place = ["--save_dir", str(run_dir)]
        status = start([*run_command(sweep, values, sys.executable), *flags, *place], log)
        succeeded.append(status == 0)
        if status:
            last = (log.read_text(encoding="utf-8", errors="replace").splitlines() or [""])[-1]
            print(f"  failed with status {status}, see {log}: {last}")
        else:
            print(f"  {time.perf_counter() - began:.0f} s")
    return succeeded


def results(
    draws: Sequence[dict[str, Any]],
    succeeded: Sequence[bool],
    output: Path,
    main_average: tuple[float, float],
) -> "pd.DataFrame":
    """The runs that have succeeded: parameters, main average of the last and of the best epoch.

    Returns:
        Table by the name of the run; the run with the best last epoch comes first.

    Raises:
        UserError: If none has succeeded.
    """
    import pandas as pd

    names = {f"run-{n}": values for n, values in enumerate(draws, 1) if succeeded[n - 1]}
    if not names:
        raise UserError(f"no run of the sweep succeeded; see the .log files in {output}")
    scores = summary({name: output / name for name in names})
    columns = [str(name) for name in scores if str(name).startswith("average ")]
    main = f"average {average_name(*main_average)}"
    main = main if main in columns else columns[0]
    parameters = pd.DataFrame.from_dict(names, orient="index")
    table = pd.concat([parameters, scores[[main, "best", "best epoch", "epochs"]]], axis=1)
    return table.sort_values(main, ascending=False)


@command("tools/sweep.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--sweep", type=Path, default=ROOT / "config" / "sweep.yaml")
    parser.add_argument("--output", type=Path, required=True, help="directory of all runs")
    parser.add_argument("--runs", type=int, default=10, help="number of runs (10)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws (0)")
    parser.add_argument("--method", choices=METHODS, help="default: that of the file")
    flags = "flags of the program for all runs; the last option"
    parser.add_argument("--flags", nargs=argparse.REMAINDER, default=[], help=flags)
    given = parser.parse_args()
    if given.runs < 1:
        raise UserError(f"--runs {given.runs}: wanted at least 1")
    sweep, output = read_sweep(given.sweep), given.output.resolve()
    fixed = parse_flags(sweep.program, "", given.flags)
    if "save_dir" in fixed:
        raise UserError("--flags --save_dir: --output names the directory of the runs")
    parameters = sweep.without(set(fixed))
    draws = draw_values(parameters, given.method or sweep.method, given.runs, given.seed)
    configs = [checked_config(sweep, values, given.flags) for values in draws]
    succeeded = run_all(sweep, draws, configs, given.flags, output)
    table = results(draws, succeeded, output, configs[0].spec.main_average)
    write_text(output / "sweep.csv", table.to_csv())
    varied = [name for name in table if name not in parameters or len(parameters[name].values) != 1]
    print(table[varied].to_string())
    print(f"mAP in percent on the test videos; all columns: {output / 'sweep.csv'}")
    if not all(succeeded):
        sys.exit(1)


if __name__ == "__main__":
    main()
