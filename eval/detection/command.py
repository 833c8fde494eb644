"""The command `python -m eval.detection`: scores any prediction file against an annotation file."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataset.annotations import read_database
from eval.detection.average_precision import AP_KINDS, TIOU, DetectionResult, detection_map
from eval.detection.error_analysis import LENGTH_EDGES, NUMBER_EDGES, Breakdown, error_breakdown
from eval.detection.prediction_file import read_predictions
from eval.detection.selection import Selection, select, some
from eval.detection.tables import breakdown_text, class_table, class_text, map_table
from utils.errors import UserError, command
from utils.files import write_json, write_text


@command("eval.detection")
def main() -> None:
    """Reads the two files, prints the tables, writes JSON and CSV where asked to."""
    options = _parser().parse_args()
    tiou = parse_tiou(options.tiou)
    database = read_database(options.ground_truth)
    predictions = read_predictions(options.predictions)
    chosen = select(database, predictions, options.subset, options.videos, options.classes)
    if not len(chosen.truth):
        raise UserError(
            f"nothing to score: no instance of the chosen classes is annotated in the "
            f"{len(chosen.truth.videos)} chosen videos of subset {chosen.subset!r} of "
            f"{options.ground_truth}; choose another --subset, --videos or --classes"
        )
    result = detection_map(chosen.truth, chosen.predictions, tiou, ap=options.ap)
    breakdown = error_breakdown(
        chosen.truth,
        chosen.predictions,
        options.error_tiou,
        background_tiou=options.background_tiou,
        length_edges=options.length_edges,
        number_edges=options.number_edges,
    )
    print("\n".join(about(chosen, result, options.ap)))
    print(f"\n{class_text(result)}\n\n{breakdown_text(breakdown)}\n\n{map_table(result)}")
    if options.json:
        write_json(options.json, report(chosen, result, breakdown, options.ap), indent=1)
        print(f"written: {options.json}")
    if options.csv:
        write_text(options.csv, class_table(result).to_csv())
        print(f"written: {options.csv}")


def parse_tiou(words: Sequence[str]) -> list[float]:
    """Ascending thresholds from words: 0.5, or a range with both its ends, 0.5:0.95:0.05."""
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
                f"--tiou {word!r} is no threshold; wanted a number above 0 and at most 1, as 0.5, "
                "or start:stop:step, as 0.5:0.95:0.05"
            )
    return sorted(found)


def about(chosen: Selection, result: DetectionResult, ap: str) -> list[str]:
    """Lines that say what was scored and what was not."""
    left_out, unpredicted = chosen.left_out, set(chosen.unpredicted)
    missed = sum(chosen.truth.videos[video] in unpredicted for video in chosen.truth.video)
    lines = [
        f"subset scored: {chosen.subset or repr(chosen.subset)} ({chosen.reason}), AP as {ap}",
        f"videos scored: {result.videos}",
        f"videos left out: {len(left_out)}",
        f"videos scored without a prediction: {len(unpredicted)}",
    ]
    if left_out:
        lines[2] += f" with {chosen.left_out_instances} instances: {some(left_out)}"
    if unpredicted:
        lines[3] += (
            f", their {missed} instances count as missed; --videos predicted leaves them out: "
            f"{some(chosen.unpredicted)}"
        )
    counts = {
        "detections left out with videos or classes not chosen": chosen.dropped,
        "detections left out, of a class that is not in the ground truth": result.unknown_label,
        "false positives in videos that are not in the ground truth": result.unknown_video,
        "false positives in videos without an annotated instance": result.unannotated,
    }
    return lines + [f"{what}: {number}" for what, number in counts.items()]


def report(
    chosen: Selection, result: DetectionResult, breakdown: Breakdown, ap: str
) -> dict[str, Any]:
    """Everything that is printed as one JSON value; precisions and averages in percent."""
    percent = result.average_precision * 100
    return {
        "subset": chosen.subset,
        "ap": ap,
        "tiou": result.tiou.tolist(),
        "mAP": (result.mean_average_precision * 100).tolist(),
        "average_mAP": result.averages(),
        "videos": result.videos,
        "videos_left_out": list(chosen.left_out),
        "instances_left_out": chosen.left_out_instances,
        "videos_not_predicted": list(chosen.unpredicted),
        "instances": int(result.instances.sum()),
        "detections": int(result.detections.sum()),
        "detections_left_out": chosen.dropped,
        "detections_of_unknown_class": result.unknown_label,
        "false_positives_in_unknown_videos": result.unknown_video,
        "false_positives_without_annotation": result.unannotated,
        "classes": {
            name: {
                "instances": int(result.instances[i]),
                "detections": int(result.detections[i]),
                "AP": percent[:, i].tolist() if result.instances[i] else None,
            }
            for i, name in enumerate(result.classes)
        },
        "errors": {
            "tiou": breakdown.tiou,
            "background_tiou": breakdown.background_tiou,
            "best": breakdown.errors.to_dict(orient="index"),
            "missed_by_length": breakdown.missed_by_length.to_dict(orient="index"),
            "missed_by_number": breakdown.missed_by_number.to_dict(orient="index"),
        },
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eval.detection",
        description="Mean average precision at temporal IoU, as the ActivityNet toolkit has it, "
        "and an analysis of the errors.",
    )
    parser.add_argument(
        "--ground_truth", type=Path, required=True, help="annotation file of the ActivityNet form"
    )
    parser.add_argument(
        "--predictions", type=Path, required=True, help="prediction file, ActivityNet JSON"
    )
    parser.add_argument("--subset", help="default: the one with most of the predicted videos")
    parser.add_argument(
        "--videos",
        default="all",
        metavar="all|predicted|FILE",
        help="all of the subset (default; one without a prediction counts as missed), those in the "
        "prediction file, or those in a file with one name a line; detections in others of the "
        "subset do not count, and with FILE none outside it does",
    )
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="score only these; default: all annotated"
    )
    parser.add_argument(
        "--tiou",
        nargs="+",
        default=[f"{value:g}" for value in TIOU],
        metavar="T",
        help="temporal IoU thresholds, or start:stop:step; default 0.1:0.9:0.1",
    )
    parser.add_argument(
        "--ap",
        choices=AP_KINDS,
        default=AP_KINDS[0],
        help="interpolated (activitynet, default), or the mean of the precision at each true "
        "positive over all instances (thumos14)",
    )
    errors = parser.add_argument_group("analysis of errors")
    errors.add_argument(
        "--error_tiou", type=float, default=0.5, help="tIoU of a correct detection; default 0.5"
    )
    errors.add_argument(
        "--background_tiou", type=float, default=0.1, help="below it: background; default 0.1"
    )
    errors.add_argument(
        "--length_edges",
        type=float,
        nargs="+",
        default=LENGTH_EDGES,
        metavar="S",
        help="bounds of the ranges of lengths, seconds; default 3 6 12 18, as DETAD has them for "
        "THUMOS14 (ActivityNet: 30 60 120 180)",
    )
    errors.add_argument(
        "--number_edges",
        type=float,
        nargs="+",
        default=NUMBER_EDGES,
        metavar="N",
        help="bounds of the ranges of instances of the class in the video; default 1 40 80, as "
        "DETAD has them for THUMOS14 (ActivityNet: 1 4 8)",
    )
    output = parser.add_argument_group("files written")
    output.add_argument("--json", type=Path, metavar="FILE", help="everything that is printed")
    output.add_argument("--csv", type=Path, metavar="FILE", help="the table of classes")
    return parser
