"""Runs beside each other, from the metrics.jsonl that each leaves in its folder:

python -m eval.summary ACM-Net=data/demo/save/baseline/acmnet FTCL-Net=data/demo/save/ftcl/ftcl
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from utils.errors import UserError, command


def summary(runs: Mapping[str, Path]) -> pd.DataFrame:
    """One row a run: mAP in percent at the last epoch, and the best average with its epoch.

    Args:
        runs: folders by the name to show.

    Returns:
        Columns `mAP@...`, `average ...` (of the last evaluated epoch), `best`, `best epoch`,
        `epochs`; indexed by name. `best` is chosen on the test videos.

    Raises:
        UserError: if a folder has no metrics of an evaluated epoch.
    """
    rows = {}
    for name, folder in runs.items():
        lines = _evaluated(folder)
        last = lines[-1]
        averages = [key for key in last if key.startswith("average ")]
        headline = "average .1-.7" if "average .1-.7" in averages else averages[0]
        best = max(lines, key=lambda line: line[headline])
        rows[name] = {
            **{key: value for key, value in last.items() if key.startswith("mAP@")},
            **{key: last[key] for key in averages},
            "best": best[headline],
            "best epoch": best["epoch"],
            "epochs": last["epoch"],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation (of a sample) and median over the rows of `summary`."""
    return table.agg(["mean", "std", "median"])


def as_text(table: pd.DataFrame) -> str:
    """The table in plain text: mAP under its tIoU, averages under their range."""
    whole = dict.fromkeys(("best epoch", "epochs"), "{:.0f}".format)
    short = table.rename(columns=lambda name: name.removeprefix("mAP@").replace("average ", "avg "))
    return short.to_string(float_format="{:.2f}".format, formatters=whole, na_rep="-")


def _evaluated(folder: Path) -> list[dict[str, float]]:
    """The epochs of a run that were evaluated."""
    path = Path(folder) / "metrics.jsonl"
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}; name the folder of a run"
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is not a file of metrics: {error}") from error
    found = [line for line in lines if any(key.startswith("average ") for key in line)]
    if not found:
        raise UserError(f"{path} has no evaluated epoch yet; let the run come to one")
    return found


@command("eval.summary")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER", help="a run and what to call it")
    parser.add_argument("--spread", action="store_true", help="mean, deviation and median as well")
    given = parser.parse_args()
    runs = {}
    for text in given.runs:
        name, equals, folder = text.partition("=")
        runs[name if equals else Path(text).name] = Path(folder if equals else text)
    table = summary(runs)
    print(as_text(table))
    if given.spread:
        print(as_text(spread(table)))


if __name__ == "__main__":
    main()
