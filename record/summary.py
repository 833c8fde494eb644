"""Compares runs side by side, using the metrics.jsonl in each run directory:

python -m record.summary ACM-Net=data/demo/save/baseline/acmnet FTCL-Net=data/demo/save/ftcl/ftcl
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # run by its path: import from the root of the repository, as with -m
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from config.datasets import DATASETS
from utils.errors import UserError, command
from utils.files import read_json
from utils.interrupts import interrupts_exit

if TYPE_CHECKING:
    import pandas as pd

AVERAGE = "average "


def summary(runs: Mapping[str, Path]) -> "pd.DataFrame":
    """One row per run: mAP in percent after the last epoch, and the best average with its epoch.

    Args:
        runs: Run directories by the name to show.

    Returns:
        Columns `mAP@...`, `average ...` (of the last evaluated epoch), `best`, `best epoch`,
        `epochs`; indexed by name. `best` is the main average of the data set, chosen on the test
        videos.

    Raises:
        UserError: If a run has no metrics of an evaluated epoch.
    """
    import pandas as pd  # not above: it takes a second, and flags are checked without it

    rows = {}
    for name, folder in runs.items():
        lines = _evaluated_epochs(folder)
        last = lines[-1]
        averages = [key for key in last if key.startswith(AVERAGE)]
        main = _main_average(folder, averages)
        best = max(lines, key=lambda line: line[main])
        rows[name] = {
            **{key: value for key, value in last.items() if key.startswith("mAP@")},
            **{key: last[key] for key in averages},
            "best": best[main],
            "best epoch": best["epoch"],
            "epochs": last["epoch"],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def spread(table: "pd.DataFrame") -> "pd.DataFrame":
    """Mean, sample standard deviation and median over the rows of `summary`."""
    return table.agg(["mean", "std", "median"])


def as_text(table: "pd.DataFrame") -> str:
    """The table as plain text: mAP under its tIoU, averages under their range."""
    whole = dict.fromkeys(("best epoch", "epochs"), "{:.0f}".format)
    short = table.rename(columns=lambda name: name.removeprefix("mAP@").replace(AVERAGE, "avg "))
    return short.to_string(float_format="{:.2f}".format, formatters=whole, na_rep="-")


def _evaluated_epochs(folder: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl of the evaluated epochs."""
    path = Path(folder) / "metrics.jsonl"
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}; wanted a run directory"
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is not a metrics file: {error}") from error
    found = [line for line in lines if any(key.startswith(AVERAGE) for key in line)]
    if not found:
        raise UserError(f"{path} has no evaluated epoch yet; wait until the run has finished one")
    return found


def _main_average(folder: Path, averages: Sequence[str]) -> str:
    """The average by which runs on this data set are compared; the first one if it was not logged.

    Args:
        folder: Run directory, whose config.json names the data set.
        averages: Names of the averages in metrics.jsonl: "average .1-.7", "average .5 .75", ...
    """
    path = Path(folder) / "config.json"
    config: Any = read_json(path, "settings") if path.exists() else {}
    spec = DATASETS.get(str(config.get("dataset"))) if isinstance(config, dict) else None
    for name in averages:
        low, is_range, high = name.removeprefix(AVERAGE).partition("-")
        if spec and is_range and (float(low), float(high)) == spec.main_average:
            return name
    return averages[0]


@command("record.summary")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m record.summary", description=__doc__, formatter_class=layout
    )
    parser.add_argument("runs", nargs="+", metavar="NAME=DIR", help="run directory and its name")
    parser.add_argument(
        "--spread", action="store_true", help="also print mean, standard deviation and median"
    )
    given = parser.parse_args()
    runs = {}
    for text in given.runs:
        name, equals, folder = text.partition("=")
        runs[name if equals else Path(text).name] = Path(folder if equals else text)
    with interrupts_exit("record.summary"):
        import pandas  # noqa: F401, for `summary`: Ctrl-C during its import would print a traceback

    table = summary(runs)
    print(as_text(table))
    if given.spread:
        print(as_text(spread(table)))


if __name__ == "__main__":
    main()
