"""docs/ERRORS.md: every mistake that the tests try, with its message."""

import errno
import os
import re
from collections.abc import Mapping

from tests.bad_inputs.case import BadInput
from tests.bad_inputs.command_line import SCORING, TRAINING
from tests.bad_inputs.data import ANNOTATIONS, DIRECTORY, FEATURE_FILES, SPLITS
from tests.bad_inputs.environment import DEVICES, DISK, FOLDERS, LONG
from tests.bad_inputs.files import CHECKPOINTS, PREDICTION_FILES

GROUPS: dict[str, list[BadInput]] = {
    "Flags of main_thu.py": TRAINING,
    "Flags of eval.detection": SCORING,
    "Data directory": DIRECTORY,
    "Split files": SPLITS,
    "gt.json": ANNOTATIONS,
    "Feature files": FEATURE_FILES,
    "Checkpoints": CHECKPOINTS,
    "Prediction files": PREDICTION_FILES,
    "Folders": FOLDERS,
    "Disk": DISK,
    "Devices": DEVICES,
}
CASES = {(group, case.what): case for group, cases in GROUPS.items() for case in cases}

HEAD = """\
# What can be wrong, and what is said of it

Made by `python -m tests.bad_inputs`, which makes every mistake below and notes the message; the
tests compare. The program prints `<program>: error: ` and the message to stderr and exits with
status 2: no traceback, no half-written file, nothing changed that was there before. Mistakes in
data files are listed all together, not one a run.

In the messages the data directory is `data`, the folder of a run `run` or `done`, a checkpoint
`good.pth`, a prediction file `pred.json`; `<reason>` is what the system or a library says.
"""

# What differs between systems and versions of libraries, or is long.
CODES = (errno.EISDIR, errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EFBIG, errno.EROFS)
GENERAL = [
    *((rf": {re.escape(os.strerror(code))}\b", ": <reason>") for code in (*CODES, errno.EACCES)),
    (r"(checkpoint \S+) cannot be read \(.*?\);", r"\1 cannot be read (<reason>);"),
    (r"out of memory on .*?:", "out of memory on <device>:"),
    (r"\(choose from .*\)", "(choose from <names>)"),
    (r"line 1, column \d+", "line 1, column <number>"),
    (r"known labels are BaseballPitch.*", "known labels are <classes>"),
    (r"sha256: '.*' before, '.*' now", "sha256: <hash> before, <hash> now"),
    (LONG, "<long name>"),
]


def general(message: str) -> str:
    """The message as it is on every system, in one cell of a table."""
    for pattern, put in GENERAL:
        message = re.sub(pattern, put, message)
    lines = message.replace("|", "\\|").replace("`", "'").splitlines()
    return "<br>".join(f"`{line.strip()}`" for line in lines)


def page_of(cells: Mapping[tuple[str, str], str]) -> str:
    """The page in Markdown, from the message of each case by group and mistake."""
    lines = [HEAD]
    for group, cases in GROUPS.items():
        lines += [f"## {group}", "", "| what is wrong | message |", "|---|---|"]
        lines += [f"| {case.what} | {cells[group, case.what]} |" for case in cases]
        lines.append("")
    return "\n".join(lines)


def cells_of(page: str) -> dict[tuple[str, str], str]:
    """The messages in a page, by group and mistake."""
    cells, group = {}, ""
    for line in page.splitlines():
        if line.startswith("## "):
            group = line.removeprefix("## ")
        elif line.startswith("| ") and group:
            what, _, cell = line.removeprefix("| ").removesuffix(" |").partition(" | ")
            cells[group, what] = cell
    return {place: cell for place, cell in cells.items() if place[1] != "what is wrong"}
