"""Which prediction files a report is about, and what they are called in it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from utils.errors import UserError

SUFFIX = "_predictions"  # of the files that main_thu.py --test writes beside a checkpoint
ENDINGS = (".json", ".csv", ".txt", ".gz")  # that names in a page do without
MOST_SOURCES = 6  # as many as there are colours


class Source(NamedTuple):
    """A prediction file.

    Attributes:
        name: What it is called in a page.
        path: File of predictions.
    """

    name: str
    path: Path


def find_sources(files: Sequence[Path], runs: Sequence[Path], names: Sequence[str]) -> list[Source]:
    """The prediction files that were named, and those of runs.

    Args:
        files: Prediction files.
        runs: Folders in which main_thu.py --test wrote predictions.
        names: What they are called, in this order; by default as they differ in their paths.

    Raises:
        UserError: If the folder of a run has no predictions, if there are too many files, or if the
            names are not one per file and different.
    """
    paths = [*files, *(predictions_of_run(run) for run in runs)]
    if len(paths) > MOST_SOURCES:
        raise UserError(f"{len(paths)} prediction files; a page compares at most {MOST_SOURCES}")
    if names and len(names) != len(paths):
        raise UserError(
            f"--names has {len(names)} names for {len(paths)} prediction files; wanted one for each"
        )
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise UserError(f"--names {repeated[0]} is given twice; wanted different names")
    chosen = names or short_names([*files, *runs])
    return [Source(name, path) for name, path in zip(chosen, paths, strict=True)]


def predictions_of_run(run: Path) -> Path:
    """The predictions in the folder of a run: of its best checkpoint, else of its latest one.

    Raises:
        UserError: If there are none.
    """
    if not run.is_dir():
        raise UserError(f"--runs {run} is not a folder; give the folders of runs")
    found = sorted(run.glob(f"*{SUFFIX}.json"))  # ..._best comes before ..._latest
    if not found:
        raise UserError(
            f"--runs {run} has no *{SUFFIX}.json; write it with main_thu.py --test --checkpoint "
            f"{run / 'THUMOS_best.pth'}"
        )
    return found[0]


def short_names(paths: Sequence[Path]) -> list[str]:
    """What tells paths apart: their last part that differs, else all of each path."""
    parts = [_parts(path) for path in paths]
    least = min(map(len, parts), default=1)
    for place in range(1, least + 1):
        names = [each[-place] for each in parts]
        if len(set(names)) == len(names):
            return names
    if len(set(paths)) == len(paths):
        return list(map(str, paths))
    return [f"{number}: {path}" for number, path in enumerate(paths, 1)]


def _parts(path: Path) -> tuple[str, ...]:
    """The parts of a path, without the ending of a prediction file."""
    name = path.stem if path.suffix.lower() in ENDINGS else path.name
    return (*path.parent.parts, name or str(path))
