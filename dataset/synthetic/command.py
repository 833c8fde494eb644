"""The command `python -m dataset.synthetic`."""

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from pathlib import Path

from dataset.synthetic.writer import write_dataset
from utils.errors import command

PROGRAM = "python -m dataset.synthetic"


@command(PROGRAM)
def main() -> None:
    """Writes a synthetic data set as the flags say."""
    write_dataset(**vars(_parser().parse_args()))


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog=PROGRAM,
        description="Writes a synthetic demonstration data set in the ACM-Net layout.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="data directory to write")
    add("--train_videos", type=int, metavar="N", help="training videos, at least one per class")
    add("--test_videos", type=int, metavar="N", help="test videos, at least one per class")
    add("--classes", type=int, metavar="N", help="classes, 1 to 20")
    add("--mean_seconds", type=float, metavar="S", help="mean duration in seconds, 10 to 1000")
    add("--context", type=float, metavar="X", help="share of context away from actions, 0 to 1")
    add("--noise", type=float, metavar="X", help="random change between snippets, 0 to 10")
    add("--seed", type=int, metavar="N", help="random seed")
    add("--dtype", choices=("float16", "float32"), help="type of the features")
    parser.set_defaults(**(write_dataset.__kwdefaults__ or {}))
    return parser
