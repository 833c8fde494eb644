"""The command `python -m eval.detection`: evaluates any prediction file.

    python -m eval.detection --ground_truth gt.json --predictions predictions.json

The mAP comes first, then what was evaluated, the average precision of each class and the error
analysis (DETAD). Neither PyTorch nor pandas is imported, so that the command starts quickly.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config.datasets import DATASETS, THUMOS14, find_dataset
from dataset.annotations import read_database
from dataset.labels import make_label_reader
from dataset.splits import read_blocked
from dataset.video_names import match_names
from eval.detection.average_precision import AP_KINDS, DetectionResult, detection_map
from eval.detection.error_analysis import analyze_errors
from eval.detection.plain_values import plain_values
from eval.detection.prediction_file import read_predictions
from eval.detection.selection import Selection, first_names, select
from eval.detection.tables import class_csv, class_text, counts_line, error_text, map_table
from utils.errors import UserError, command
from utils.files import write_json, write_text


@command("eval.detection")
def main() -> None:
    """Reads the two files, prints the tables, and writes JSON and CSV on request."""
    options = parse_options()
    chosen = read_and_select(options)
    for note in chosen.notes:
        print(note)
    if not len(chosen.truth):
        raise UserError(
            f"nothing to evaluate: no instance of the chosen classes is annotated in the "
            f"{len(chosen.truth.videos)} chosen videos of subset {chosen.subset!r} of "
            f"{options.ground_truth}; choose another --subset, --videos or --classes"
        )
    result = detection_map(chosen.truth, chosen.predictions, options.tiou, ap=options.ap)
    analysis = analyze_errors(
        chosen.truth,
        chosen.predictions,
        options.error_tiou,
        background_tiou=options.background_tiou,
        length_edges=options.length_edges,
        number_edges=options.number_edges,
    )
    values = plain_values(result, analysis)
    print(map_table(result))
    print("\n".join([counts_line(result), *selection_lines(chosen, result, options.ap)]))
    print(f"\n{class_text(values)}\n\n{error_text(values['errors'])}")
    if options.json:
        write_json(options.json, json_values(chosen, values, options.ap), indent=1)
        print(f"written: {options.json}")
    if options.csv:
        write_text(options.csv, class_csv(values))
        print(f"written: {options.csv}")


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; those not given that depend on the data set take the values of its spec.

    Args:
        arguments: Instead of `sys.argv[1:]`.

    Raises:
        UserError: If the data set is unknown or a tIoU threshold is none.
    """
    options = _parser().parse_args(arguments)
    spec = find_dataset(options.dataset)
    options.tiou = parse_tiou(options.tiou) if options.tiou else spec.tiou
    if options.ignore_labels is None:
        options.ignore_labels = spec.ignored_labels
    options.length_edges = options.length_edges or spec.length_edges
    options.number_edges = options.number_edges or spec.number_edges
    return options


def read_and_select(options: argparse.Namespace) -> Selection:
    """Reads both files and chooses what is evaluated; prints what has to be said about them."""
    labels = make_label_reader(
        options.label_aliases, options.class_names, ignored=options.ignore_labels
    )
    database = read_database(options.ground_truth, labels, strict=options.strict)
    predictions = read_predictions(options.predictions, labels, strict=options.strict)
    if options.blocked_videos:
        blocked = read_blocked(options.blocked_videos, database)
        predictions = predictions.without_videos(match_names(predictions.videos, blocked))
        database = {name: video for name, video in database.items() if name not in blocked}
    classes = [labels(name) for name in options.classes] if options.classes else None
    return select(database, predictions, options.subset, options.videos, classes)


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


def selection_lines(chosen: Selection, result: DetectionResult, ap: str) -> list[str]:
    """Lines that say what was evaluated and what was not; counts of zero are left out."""
    unpredicted = set(chosen.unpredicted)
    missed = sum(chosen.truth.videos[video] in unpredicted for video in chosen.truth.video)
    lines = [f"subset: {chosen.subset or repr(chosen.subset)} ({chosen.reason}); AP: {ap}"]
    if chosen.left_out:
        number = chosen.left_out_instances
        instances = f" with {number} instances" if number else ""
        names = first_names(chosen.left_out)
        lines.append(f"videos left out: {len(chosen.left_out)}{instances}: {names}")
    if unpredicted:
        instances = f", whose {missed} instances count as missed" if missed else ""
        names = first_names(chosen.unpredicted)
        lines.append(
            f"videos without a prediction: {len(unpredicted)}{instances}: {names} "
            "(--videos predicted leaves them out)"
        )
    counts = {
        "detections left out, in videos or of classes not chosen": chosen.dropped,
        "detections left out, of classes outside the ground truth": result.unknown_label,
        "false positives in videos outside the ground truth": result.unknown_video,
        "false positives in videos without an annotated instance": result.unannotated,
    }
    return lines + [f"{what}: {number}" for what, number in counts.items() if number]


def json_values(chosen: Selection, values: dict[str, Any], ap: str) -> dict[str, Any]:
    """Everything that is printed, and more, as one JSON value."""
    classes = {
        name: row if row["instances"] else {**row, "AP": None}
        for name, row in values["classes"].items()
    }
    return {
        "subset": chosen.subset,
        "ap": ap,
        **values,
        "classes": classes,
        "videos_left_out": list(chosen.left_out),
        "instances_left_out": chosen.left_out_instances,
        "videos_not_predicted": list(chosen.unpredicted),
        "detections_left_out": chosen.dropped,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eval.detection",
        description="Evaluates predictions of any method: mean average precision at temporal IoU, "
        "computed as in the ActivityNet toolkit, and an error analysis (DETAD).",
    )
    parser.add_argument(
        "--ground_truth", type=Path, required=True, help="annotation file in ActivityNet format"
    )
    parser.add_argument(
        "--predictions", type=Path, required=True, help="prediction file in ActivityNet format"
    )
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
        "--videos",
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
        choices=AP_KINDS,
        default=AP_KINDS[0],
        help="average precision: interpolated (activitynet, default), or the mean of the precision "
        "at each true positive over all instances (thumos14)",
    )
    _add_file_flags(parser)
    _add_error_flags(parser)
    output = parser.add_argument_group("output files")
    output.add_argument("--json", type=Path, metavar="FILE", help="all results")
    output.add_argument("--csv", type=Path, metavar="FILE", help="average precision of each class")
    return parser


def _add_file_flags(parser: argparse.ArgumentParser) -> None:
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
        "ActivityNet: none); none after the flag: no label",
    )
    files.add_argument(
        "--strict",
        action="store_true",
        help="stop at invalid times and durations, instead of a warning",
    )


def _add_error_flags(parser: argparse.ArgumentParser) -> None:
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
