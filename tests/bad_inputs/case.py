"""Definition of a bad input, and the functions that create one."""

import json
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAIN, DETECTION, REPORT = "main_thu.py", "eval.detection", "eval.report"
PREDICT, EXTRACTION = "predict.py", "extraction"
BASE = {
    MAIN: "--data_dir data --save_dir run --num_snippets 24 --epochs 2 --device cpu "
    "--without_wandb",
    DETECTION: "--ground_truth data/gt.json --predictions pred.json",
    REPORT: "--ground_truth data/gt.json --predictions pred.json",
    PREDICT: "--checkpoint good.pth --device cpu",
    EXTRACTION: "--output features --streams rgb --rgb_weights rgb.pt --device cpu",
}
TEST = "--test --checkpoint good.pth --save_dir ."
RESUME = "--save_dir done --resume"
TESTED = ("good_predictions.json", "good_scores.npz")
BEGUN = ("run/config.json", "run/metrics.jsonl")
TRAINED = (*BEGUN, "run/THUMOS_best.pth", "run/THUMOS_latest.pth")


@dataclass(frozen=True)
class BadInput:
    """One mistake, tried in a folder in which everything else is valid.

    The folder contains the data directory `data`, the directory `done` of a finished run, its
    checkpoint `good.pth`, its predictions `pred.json` and its scores `scores.npz`.

    Attributes:
        mistake: Description of the mistake, for the page.
        flags: Flags of the command line, after those of `BASE`.
        spoil: Makes the mistake in the files; called in the folder.
        around: Context that makes the mistake in the machine while the program runs.
        program: Program to run.
        leaves: Files written before the mistake can be noticed; they remain, complete.
        warning: Whether the program warns and ends as usual instead of stopping with an error.
        status: Exit status of an error; 1 if the program goes on with its other inputs.
    """

    mistake: str
    flags: str = ""
    spoil: Callable[[], object] = lambda: None
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    program: str = MAIN
    leaves: tuple[str, ...] = ()
    warning: bool = False
    status: int = 2

    @property
    def arguments(self) -> list[str]:
        """The arguments of the command line."""
        return [*BASE[self.program].split(), *shlex.split(self.flags)]


def put(path: str, content: str | bytes = "") -> Callable[[], object]:
    """Replaces the content of a file."""
    data = content.encode() if isinstance(content, str) else content
    return lambda: Path(path).write_bytes(data)


def cut(path: str, count: int) -> Callable[[], object]:
    """Removes bytes from the end of a file."""
    return lambda: Path(path).write_bytes(Path(path).read_bytes()[:-count])


def edit(path: str, change: Callable[[Any], object]) -> Callable[[], object]:
    """Changes the content of a JSON file in place."""

    def apply() -> None:
        content = json.loads(Path(path).read_text())
        change(content)
        Path(path).write_text(json.dumps(content))

    return apply


def folder_instead(path: str) -> Callable[[], object]:
    """Puts a folder where a file is expected."""

    def apply() -> None:
        Path(path).unlink(missing_ok=True)
        Path(path).mkdir(parents=True)

    return apply
