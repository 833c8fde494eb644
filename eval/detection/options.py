"""The command line of `python -m eval.detection`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from config.datasets import DATASETS, THUMOS14, find_dataset
from eval.detection.average_precision import ACTIVITYNET, AP_KINDS, FORMER_NAMES
from eval.detection.protocols import PROTOCOLS
from eval.detection.thumos_kit import THUMOS_KIT
from utils.errors import UserError


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; those not given that depend on the data set take the values of its spec.

    Args:
        arguments: Instead of `sys.argv[1:]`.

    Raises:
        UserError: If the data set is unknown, a tIoU threshold is none or two flags contradict
            each other.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    missing = [flag for flag in ("ground_truth", "predictions") if not getattr(options, flag)]
    if missing and (not options.convert or len(missing) == 2):
        wanted = ", ".join(f"--{flag}" for flag in missing)
        parser.error(f"the following arguments are required: {wanted}")
    complete(options)
    if options.ap and options.protocol != ACTIVITYNET:
        raise UserError(
            f"--ap {options.ap} does not apply to --protocol {options.protocol}, which has its own "
            "average precision; leave one of them out"
        )
    return options


def complete(options: argparse.Namespace) -> None:
    """Replaces a former name, and what was not given by the values of the data set.

    Raises:
        UserError: If the data set is unknown or a tIoU threshold is none.
    """
    if options.ap in FORMER_NAMES:
        name = FORMER_NAMES[options.ap]
        print(
            f"--ap {options.ap} is now called {name}: it is the formula of the THUMOS14 kit "
            f"without its matching; --protocol {THUMOS_KIT} is the official kit"
        )
        options.ap = name
    spec = find_dataset(options.dataset)
    options.tiou = parse_tiou(options.tiou) if options.tiou else spec.tiou
    if options.ignore_labels is None:
        options.ignore_labels = spec.ignored_labels
    options.length_edges = options.length_edges or spec.length_edges
    options.number_edges = options.number_edges or spec.number_edges


def parse_tiou(words: Sequence[str]) -> list[float]:
    """Ascending thresholds from words: 0.5, or a range that includes both ends, 0.5:0.95:0.05.

    Raises:
        UserError: If a word is neither.
    """
    found: set[float] = set()
    for word in words:
        try:
            numbers = [float(part) for part in word.split(":")]
        except ValueError:
            numbers = []
        if len(numbers) == 3 and 0 < numbers[0] <= numbers[1] <= 1 and numbers[2] >= 0.001:
            low, high, step = numbers
            count = int((high - low) / step + 1e-6) + 1
            found.update(round(low + i * step, 6) for i in range(count))
        elif len(numbers) == 1 and 0 < numbers[0] <= 1:
            found.add(numbers[0])
        else:
            raise UserError(
                f"--tiou {word!r} is not a threshold; wanted a number above 0 and at most 1, such "
                "as 0.5, or start:stop:step, such as 0.5:0.95:0.05"
            )
    return sorted(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eval.detection",
        description="Evaluates predictions of any method: mean average precision at temporal IoU, "
        "computed as in the ActivityNet toolkit or the THUMOS14 kit, and an error analysis "
        "(DETAD). Converts files of predictions and annotations.",
    )
    parser.add_argument(
        "--ground_truth",
        type=Path,
        metavar="FILE|FOLDER",
        help="annotations: ActivityNet JSON, CSV, or the annotation folder of the THUMOS14 kit",
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE",
        help="predictions: ActivityNet JSON, CSV, or detections of the THUMOS14 kit. The content "
        "decides which it is",
    )
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default=ACTIVITYNET,
        help="matching and average precision of the ActivityNet toolkit (default), which is what "
        f"the field reports on THUMOS14 too, or of the official THUMOS14 kit ({THUMOS_KIT}), whose "
        "values are much lower and not comparable",
    )
    add_evaluation_flags(parser)
    add_file_flags(parser)
    add_error_flags(parser)
    output = parser.add_argument_group("output files")
    output.add_argument("--json", type=Path, metavar="FILE", help="all results")
    output.add_argument("--csv", type=Path, metavar="FILE", help="average precision of each class")
    output.add_argument(
        "--convert",
        type=Path,
        metavar="FILE",
        help="write the predictions (without --predictions: the annotations) in the format of the "
        "extension and evaluate nothing: .json (ActivityNet), .csv, for predictions also .txt "
        "(THUMOS14 kit)",
    )
    return parser


def add_evaluation_flags(parser: argparse.ArgumentParser, videos: str = "--videos") -> None:
    """Adds the flags that say what is evaluated and how; `complete` fills in their defaults.

    Args:
        parser: Parser to extend.
        videos: Flag of the choice of videos.
    """
    parser.add_argument(
        "--dataset",
        default=THUMOS14.name,
        metavar="NAME",
        help="data set that sets the defaults of --tiou, --ignore_labels, --length_edges and "
        f"--number_edges: {', '.join(DATASETS)}; default {THUMOS14.name}",
    )
    parser.add_argument(
        "--subset", help="subset of the annotations; default: the one with most predicted videos"
    )
    parser.add_argument(
        "--blocked_videos",
        metavar="FILE",
        help="names of videos to leave out of annotations and predictions, one per line or as a "
        "JSON list, such as the blocked videos of ActivityNet",
    )
    parser.add_argument(
        videos,
        dest="videos",
        default="all",
        metavar="all|predicted|FILE",
        help="all videos of the subset (default; those without a prediction count as missed), the "
        "ones in the prediction file, or the ones listed in a file, one name per line, whatever "
        "their subset. Detections in other videos of the subset do not count, and with FILE none "
        "outside the list",
    )
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="evaluate only these; default: all annotated"
    )
    parser.add_argument(
        "--tiou",
        nargs="+",
        metavar="T",
        help="temporal IoU thresholds, or start:stop:step; default 0.1:0.9:0.1 (ActivityNet: "
        "0.5:0.95:0.05)",
    )
    parser.add_argument(
        "--ap",
        choices=(*AP_KINDS, *FORMER_NAMES),
        metavar="KIND",
        help=f"average precision of --protocol {ACTIVITYNET}: {AP_KINDS[0]} (default), "
        f"interpolated, or {AP_KINDS[1]}, the sum of the precision at each true positive over the "
        "number of instances (formerly called thumos14)",
    )


def add_file_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags about the content of annotation and prediction files."""
    files = parser.add_argument_group("content of the files (docs/FORMATS.md)")
    files.add_argument(
        "--label_aliases",
        nargs="+",
        default=[],
        metavar="OTHER=CLASS",
        help="other spellings of labels: pairs, a .json file {other: class}, or the word "
        "'similar': labels that differ only in case, spaces, underscores or hyphens are the same",
    )
    files.add_argument(
        "--class_names",
        default="",
        metavar="FILE",
        help="names of labels that are numbers: one per line in index order from 0, or lines of "
        "number and name",
    )
    files.add_argument(
        "--ignore_labels",
        nargs="*",
        metavar="LABEL",
        help="labels whose annotations are left out; default "
        f"{' '.join(THUMOS14.ignored_labels)} (intervals of THUMOS14 that are no class; "
        "ActivityNet: none); none after the flag: no label. --protocol thumos-kit counts no false "
        "positives in these intervals",
    )
    files.add_argument(
        "--strict",
        action="store_true",
        help="stop at invalid times and durations, instead of a warning",
    )


def add_error_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the error analysis."""
    errors = parser.add_argument_group("error analysis (DETAD)")
    errors.add_argument(
        "--error_tiou", type=float, default=0.5, help="tIoU of a correct detection; default 0.5"
    )
    errors.add_argument(
        "--background_tiou",
        type=float,
        default=0.1,
        help="tIoU below which a detection is background; default 0.1",
    )
    errors.add_argument(
        "--length_edges",
        type=float,
        nargs="+",
        metavar="S",
        help="limits of the ranges of instance lengths, in seconds; default 3 6 12 18 "
        "(ActivityNet: 30 60 120 180), which DETAD uses",
    )
    errors.add_argument(
        "--number_edges",
        type=float,
        nargs="+",
        metavar="N",
        help="limits of the ranges of the number of instances of the class in the video; default "
        "1 40 80 (ActivityNet: 1 4 8), which DETAD uses",
    )
