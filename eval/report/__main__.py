"""`python -m eval.report`, or `python eval/report`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: import from the root of the repository, as with -m
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from utils.interrupts import interrupts_exit


def main() -> None:
    """Runs the command."""
    with interrupts_exit("eval.report"):
        from eval.report.command import main as run  # not above: Ctrl-C would print a traceback

    run()


if __name__ == "__main__":
    main()
