"""The command `python -m eval.report`: the report of any prediction file, as one HTML page.

    python -m eval.report --ground_truth gt.json --predictions predictions.json
    python -m eval.report --ground_truth gt.json --predictions run/THUMOS_best_predictions.json \\
        --scores run/THUMOS_best_scores.npz --videos data/THUMOS14/videos

The scores add the curves of class activation and attention, the videos are played by a click on a
segment. PyTorch is not imported.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from config.datasets import find_dataset
from dataset.video_names import match_names, prefix_note
from eval.detection.average_precision import ACTIVITYNET, detection_map
from eval.detection.command import label_reader, read_and_select
from eval.detection.error_analysis import analyze_errors
from eval.detection.options import (
    add_error_flags,
    add_evaluation_flags,
    add_file_flags,
    complete,
)
from eval.detection.selection import Selection
from eval.evaluator import Evaluation
from eval.report.figure_files import embedded_file
from eval.report.media import find_media
from eval.report.page import VideoContents, write_report
from eval.scores_file import ScoresFile, read_scores
from record.environment import command_line, describe_environment
from utils.errors import UserError, command


@command("eval.report")
def main() -> None:
    """Reads the files and writes the report."""
    options = parse_options()
    chosen = read_and_select(options)
    for note in chosen.notes:
        print(note)
    page = options.output / "report.html"
    contents = video_contents(options, chosen, page)
    detection = detection_map(
        chosen.truth, chosen.predictions, options.tiou, ap=options.ap or ACTIVITYNET
    )
    analysis = analyze_errors(
        chosen.truth,
        chosen.predictions,
        options.error_tiou,
        background_tiou=options.background_tiou,
        length_edges=options.length_edges,
        number_edges=options.number_edges,
    )
    average = find_dataset(options.dataset).main_average
    evaluation = Evaluation(chosen.predictions, detection, math.nan, average)
    written = write_report(
        options.output,
        evaluation,
        chosen.truth,
        contents,
        title=options.title or str(options.predictions),
        settings={"subset": chosen.subset, **_settings(options)},
        command=command_line("python -m eval.report"),
        versions=describe_environment(),
        analysis=analysis,
        ap=options.ap or ACTIVITYNET,
        unpredicted=chosen.unpredicted,
        alignment=embedded_file(options.alignment, "--alignment") if options.alignment else None,
    )
    name, value = evaluation.main_metric()
    if len(chosen.truth):
        print(f"average mAP %   {name}: {value:.2f}")
    else:
        print("the chosen videos have no annotated instance: nothing to evaluate")
    print(f"report: {written}")


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; those not given that depend on the data set take the values of its spec.

    Args:
        arguments: Instead of `sys.argv[1:]`.

    Raises:
        UserError: If the data set is unknown or a tIoU threshold is none.
    """
    options = _parser().parse_args(arguments)
    options.protocol = ACTIVITYNET
    complete(options)
    if options.output is None:
        options.output = options.predictions.with_name(f"{options.predictions.stem}_report")
    return options


def video_contents(options: argparse.Namespace, chosen: Selection, page: Path) -> VideoContents:
    """Curves, lengths and files of the chosen videos."""
    names = chosen.truth.videos
    scores = ScoresFile((), [])
    if options.scores:
        scores = read_scores(options.scores)
        labels = label_reader(options, ignored=())
        found = match_names([video.name for video in scores.videos], names)
        if not found:
            raise UserError(
                f"scores file {options.scores} has none of the evaluated videos; its first one is "
                f"{scores.videos[0].name if scores.videos else 'missing'}; give the scores of "
                "these predictions"
            )
        note = prefix_note(found, "scores", "annotations")
        if note:
            print(note)
        scores = ScoresFile(
            tuple(labels(name) for name in scores.classes),
            [v._replace(name=found[v.name]) for v in scores.videos if v.name in found],
        )
    return VideoContents(
        scores=scores.videos,
        score_classes=scores.classes,
        durations=chosen.durations,
        media=find_media(options.media, names, page) if options.media else {},
    )


def _settings(options: argparse.Namespace) -> dict[str, object]:
    """The options that were given or come from the data set, for the page."""
    hidden = {"output", "title", "subset", "protocol"}
    renamed = {"videos": "evaluate", "media": "videos"}
    given = {name: value for name, value in vars(options).items() if name not in hidden}
    return {renamed.get(name, name): v for name, v in given.items() if v not in (None, "", [])}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eval.report",
        description="Writes the report of any predictions as one HTML page that needs no other "
        "file and no network: mAP, classes, error analysis (DETAD), and a timeline of every video. "
        "The evaluation is that of python -m eval.detection.",
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
        required=True,
        metavar="FILE",
        help="predictions, in a form that eval.detection reads",
    )
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
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of the report (default: <predictions>_report beside the predictions)",
    )
    parser.add_argument("--title", help="title of the page (default: the path of the predictions)")
    add_evaluation_flags(parser, videos="--evaluate")
    add_file_flags(parser)
    add_error_flags(parser)
    return parser
