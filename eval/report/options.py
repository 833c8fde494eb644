"""The options of `python -m eval.report`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from eval.detection.average_precision import ACTIVITYNET
from eval.detection.options import (
    add_error_flags,
    add_evaluation_flags,
    add_file_flags,
    complete,
)
from eval.report.figure_files import FIGURE_SUFFIXES
from eval.report.sources import find_sources
from utils.errors import UserError

# Options that only the report of a single prediction file has.
SINGLE = {"--scores": "scores", "--alignment": "alignment"}


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; those not given that depend on the data set take the values of its spec.

    Args:
        arguments: Instead of `sys.argv[1:]`.

    Returns:
        The options; `sources` has the prediction files, `predictions` the first one.

    Raises:
        UserError: If the data set is unknown, a tIoU threshold is none, or options do not fit
            together.
    """
    options = _parser().parse_args(arguments)
    options.protocol = ACTIVITYNET
    complete(options)
    files, runs, names = options.predictions or [], options.runs or [], options.names or []
    if not files and not runs:
        raise UserError("no predictions: give --predictions FILE, or --runs DIR")
    options.sources = find_sources(files, runs, names)
    options.predictions = options.sources[0].path
    several = len(options.sources) > 1
    given = [flag for flag, name in SINGLE.items() if getattr(options, name)]
    if several and given:
        raise UserError(f"{given[0]} belongs to one prediction file; leave it out to compare")
    if options.output is None:
        kind = "comparison" if several else "report"
        options.output = options.predictions.with_name(f"{options.predictions.stem}_{kind}")
    return options


def shown_settings(options: argparse.Namespace) -> dict[str, object]:
    """The options that were given or come from the data set, for the page."""
    hidden = {"output", "title", "subset", "protocol", "sources", "figure", "figure_format"}
    hidden |= {"runs", "names"}
    renamed = {"videos": "evaluate", "media": "videos"}
    given = {name: value for name, value in vars(options).items() if name not in hidden}
    given["predictions"] = [source.path for source in options.sources]
    return {renamed.get(name, name): v for name, v in given.items() if v not in (None, "", [])}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eval.report",
        description="Writes the report of any predictions as one HTML page that needs no other "
        "file and no network: mAP, classes, error analysis (DETAD), and a timeline of every video. "
        "Of several prediction files it compares the mAP, the classes and the videos. The "
        "evaluation is that of python -m eval.detection.",
    )
    parser.add_argument(
        "--ground_truth",
        type=Path,
        required=True,
        metavar="FILE|FOLDER",
        help="annotations, in a form that eval.detection reads",
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="predictions, in a form that eval.detection reads; several are compared",
    )
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="folders in which main_thu.py --test wrote predictions, instead of or after the files",
    )
    parser.add_argument(
        "--names", nargs="+", metavar="NAME", help="names of the files and runs in the comparison"
    )
    _add_contents(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of the page (default: <predictions>_report, or <predictions>_comparison, "
        "beside the first predictions)",
    )
    parser.add_argument("--title", help="title of the page (default: the path of the predictions)")
    add_evaluation_flags(parser, videos="--evaluate")
    add_file_flags(parser)
    add_error_flags(parser)
    return parser


def _add_contents(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of what a page or a figure shows besides predictions."""
    parser.add_argument(
        "--scores",
        type=Path,
        metavar="FILE",
        help="scores that main_thu.py --test wrote beside the predictions (.npz): adds the curves "
        "of class activation and attention",
    )
    parser.add_argument(
        "--videos",
        dest="media",
        type=Path,
        metavar="DIR",
        help="folder of video files named like the videos: a click on a segment plays it. The page "
        "refers to the files where they are",
    )
    parser.add_argument(
        "--alignment",
        type=Path,
        metavar="FILE",
        help="figure of tools/alignment_figure.py (.svg, .png) to show in the page",
    )
    parser.add_argument(
        "--figure",
        nargs="+",
        metavar="VIDEO",
        help="draw the timelines of these videos for a paper instead of writing a page, with all "
        "prediction files: <output>/<VIDEO>.pdf",
    )
    parser.add_argument(
        "--figure_format",
        nargs="+",
        choices=[suffix[1:] for suffix in FIGURE_SUFFIXES],
        default=["pdf"],
        help="formats of --figure; default pdf",
    )
