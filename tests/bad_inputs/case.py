"""What a bad input is, and where it is tried."""

import json
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAIN, DETECTION = "main_thu.py", "eval.detection"
BASE = {
    MAIN: "--data_dir data --save_dir run --num_snippets 24 --epochs 2 --device cpu "
    "--without_wandb",
    DETECTION: "--ground_truth data/gt.json --predictions pred.json",
}
TEST = "--test --checkpoint good.pth --save_dir ."
RESUME = "--save_dir done --resume"


@dataclass(frozen=True)
class BadInput:
    """One mistake, tried in a folder that has a good run of everything.

    In the folder are the data directory `data`, a finished run `done`, its checkpoint `good.pth`
    and predictions `pred.json`.

    Attributes:
        what: what is wrong, for the page.
        flags: of the command line, after those of `BASE`.
        spoil: makes the mistake in the files; runs in the folder.
        around: makes it in the machine, for as long as the program runs.
        program: which one is run.
        leaves: files that are written before the mistake can be noticed, and stay, whole.
    """

    what: str
    flags: str = ""
    spoil: Callable[[], object] = lambda: None
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    program: str = MAIN
    leaves: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """The words of the command line."""
        return [*BASE[self.program].split(), *shlex.split(self.flags)]


def put(path: str, content: str | bytes = "") -> Callable[[], object]:
    """Puts other content into a file."""
    data = content.encode() if isinstance(content, str) else content
    return lambda: Path(path).write_bytes(data)


def cut(path: str, count: int) -> Callable[[], object]:
    """Cuts bytes off the end of a file."""
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
