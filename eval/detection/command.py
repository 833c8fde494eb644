"""The command `python -m eval.detection`: evaluates any prediction file.

    python -m eval.detection --ground_truth gt.json --predictions predictions.json
    python -m eval.detection --protocol thumos-kit --ground_truth annotation --predictions run.txt
    python -m eval.detection --predictions predictions.json --convert run.txt

The mAP comes first, then what was evaluated, the average precision of each class and the error
analysis (DETAD). Neither PyTorch nor pandas is imported, so that the command starts quickly.
"""

import argparse
from dataclasses import replace
from typing import Any

from dataset.labels import LabelReader, make_label_reader
from dataset.splits import read_blocked
from dataset.video_names import match_names
from dataset.videos import Video
from eval.detection.annotation_file import read_annotations
from eval.detection.average_precision import ACTIVITYNET, NON_INTERPOLATED, DetectionResult
from eval.detection.conversion import convert_annotations, convert_predictions
from eval.detection.error_analysis import analyze_errors
from eval.detection.options import parse_options
from eval.detection.plain_values import plain_values
from eval.detection.prediction_file import read_predictions
from eval.detection.protocols import evaluate, intervals_of, split_ambiguous
from eval.detection.selection import Selection, first_names, select
from eval.detection.tables import class_csv, class_text, counts_line, error_text, map_table
from eval.detection.thumos_files import class_list
from utils.errors import UserError, command
from utils.files import write_json, write_text


@command("eval.detection")
def main() -> None:
    """Reads the two files, prints the tables, and writes JSON and CSV on request."""
    options = parse_options()
    if options.convert:
        convert(options)
        return
    chosen = read_and_select(options)
    for note in chosen.notes:
        print(note)
    if not len(chosen.truth):
        raise UserError(
            f"nothing to evaluate: no instance of the chosen classes is annotated in the "
            f"{len(chosen.truth.videos)} chosen videos of subset {chosen.subset!r} of "
            f"{options.ground_truth}; choose another --subset, --videos or --classes"
        )
    result = evaluate(
        chosen.truth,
        chosen.predictions,
        options.tiou,
        protocol=options.protocol,
        ap=options.ap,
        ambiguous=chosen.ambiguous,
    )
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
    print("\n".join([counts_line(result), *selection_lines(chosen, result)]))
    print(f"\n{class_text(values)}\n\n{error_text(values['errors'])}")
    if options.protocol != ACTIVITYNET:
        print(f"\nThe error analysis matches as DETAD does, not as {options.protocol}.")
    if options.json:
        write_json(options.json, json_values(chosen, values, ap_of(options)), indent=1)
        print(f"written: {options.json}")
    if options.csv:
        write_text(options.csv, class_csv(values))
        print(f"written: {options.csv}")


def convert(options: argparse.Namespace) -> None:
    """Writes the predictions or else the annotations in another format."""
    labels = label_reader(options, ignored=())
    if options.predictions:
        predictions = read_predictions(options.predictions, labels, strict=options.strict)
        convert_predictions(options.convert, predictions, labels.class_names)
    else:
        database = read_annotations(options.ground_truth, labels, strict=options.strict)
        convert_annotations(options.convert, database)


def label_reader(options: argparse.Namespace, ignored: tuple[str, ...]) -> LabelReader:
    """The reader of labels; a list of class numbers in the folder of the kit names numbers."""
    listed = class_list(options.ground_truth) if options.ground_truth else None
    class_names = options.class_names or str(listed or "")
    return make_label_reader(options.label_aliases, class_names, ignored)


def read_and_select(options: argparse.Namespace) -> Selection:
    """Reads both files and chooses what is evaluated; prints what has to be said about them."""
    by_kit = options.protocol != ACTIVITYNET
    labels = label_reader(options, ignored=() if by_kit else tuple(options.ignore_labels))
    database = read_annotations(options.ground_truth, labels, strict=options.strict)
    predictions = read_predictions(options.predictions, labels, strict=options.strict)
    if options.blocked_videos:
        blocked = read_blocked(options.blocked_videos, database)
        predictions = predictions.without_videos(match_names(predictions.videos, blocked))
        database = {name: video for name, video in database.items() if name not in blocked}
    classes = [labels(name) for name in options.classes] if options.classes else None
    if not by_kit:
        return select(database, predictions, options.subset, options.videos, classes)
    database, ambiguous = split_ambiguous(database, options.ignore_labels)
    chosen = select(database, predictions, options.subset, options.videos, classes)
    return with_ambiguous(chosen, ambiguous, options)


def with_ambiguous(
    chosen: Selection, ambiguous: dict[str, Video], options: argparse.Namespace
) -> Selection:
    """The selection with the ambiguous intervals of its videos, and a warning if there are none."""
    intervals = intervals_of(ambiguous[name] for name in chosen.truth.videos)
    if len(intervals):
        return replace(chosen, ambiguous=intervals)
    note = (
        f"warning: {options.ground_truth} has no ambiguous interval (label "
        f"{' or '.join(options.ignore_labels) or 'of --ignore_labels'}) in the chosen videos; the "
        "official kit counts no false positives in those of its Ambiguous_test.txt: give its "
        "annotation folder as --ground_truth"
    )
    return replace(chosen, notes=(*chosen.notes, note))


def ap_of(options: argparse.Namespace) -> str:
    """The kind of average precision, for the JSON file."""
    default: str = ACTIVITYNET if options.protocol == ACTIVITYNET else NON_INTERPOLATED
    return options.ap or default


def selection_lines(chosen: Selection, result: DetectionResult) -> list[str]:
    """Lines that say what was evaluated and what was not; counts of zero are left out."""
    unpredicted = set(chosen.unpredicted)
    missed = sum(chosen.truth.videos[video] in unpredicted for video in chosen.truth.video)
    subset = chosen.subset or repr(chosen.subset)
    lines = [f"subset: {subset} ({chosen.reason}); protocol: {result.protocol}"]
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
    if any(result.ambiguous):
        fewest, most = min(result.ambiguous), max(result.ambiguous)
        numbers = str(most) if fewest == most else f"{fewest} to {most}, depending on the tIoU"
        lines.append(f"detections left out, in ambiguous intervals: {numbers}")
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
