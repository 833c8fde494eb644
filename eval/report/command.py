"""The command `python -m eval.report`: the report of any prediction file, as one HTML page.

    python -m eval.report --ground_truth gt.json --predictions predictions.json
    python -m eval.report --ground_truth gt.json --predictions run/THUMOS_best_predictions.json \\
        --scores run/THUMOS_best_scores.npz --videos data/THUMOS14/videos
    python -m eval.report --ground_truth gt.json --predictions a.json b.json \\
        --names ACM-Net FTCL-Net
    python -m eval.report --ground_truth gt.json --predictions a.json --figure VIDEO

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
from eval.detection.command import label_reader
from eval.detection.error_analysis import analyze_errors
from eval.detection.selection import Selection
from eval.evaluator import Evaluation
from eval.report.comparison import compare_methods
from eval.report.comparison_page import write_comparison
from eval.report.figure_files import embedded_file
from eval.report.media import find_media
from eval.report.methods import Method, read_methods
from eval.report.options import parse_options, shown_settings
from eval.report.page import VideoContents, write_report
from eval.report.video_figures import chosen_names, write_video_figures
from eval.scores_file import ScoresFile, read_scores
from record.environment import command_line, describe_environment
from utils.errors import UserError, command


@command("eval.report")
def main() -> None:
    """Reads the files and writes the report, the comparison or the figures."""
    options = parse_options()
    methods = read_methods(options)
    if options.figure:
        figures(options, methods)
    elif len(methods) > 1:
        compare(options, methods)
    else:
        report(options, methods[0].chosen)


def report(options: argparse.Namespace, chosen: Selection) -> None:
    """Writes the report of one prediction file."""
    alignment = embedded_file(options.alignment, "--alignment") if options.alignment else None
    contents = video_contents(options, chosen, options.output / "report.html")
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
        settings={"subset": chosen.subset, **shown_settings(options)},
        command=command_line("python -m eval.report"),
        versions=describe_environment(),
        analysis=analysis,
        ap=options.ap or ACTIVITYNET,
        unpredicted=chosen.unpredicted,
        alignment=alignment,
    )
    name, value = evaluation.main_metric()
    if len(chosen.truth):
        print(f"average mAP %   {name}: {value:.2f}")
    else:
        print("the chosen videos have no annotated instance: nothing to evaluate")
    print(f"report: {written}")


def compare(options: argparse.Namespace, methods: Sequence[Method]) -> None:
    """Writes the page that compares several prediction files."""
    chosen = methods[0].chosen
    comparison = compare_methods(
        {method.name: method.chosen.predictions for method in methods},
        chosen.truth,
        options.tiou,
        find_dataset(options.dataset).main_average,
        background_tiou=options.background_tiou,
        ap=options.ap or ACTIVITYNET,
    )
    written = write_comparison(
        options.output,
        comparison,
        video_contents(options, chosen, options.output / "comparison.html"),
        title=options.title or " and ".join(method.name for method in methods),
        settings={"subset": chosen.subset, **shown_settings(options)},
        command=command_line("python -m eval.report"),
        versions=describe_environment(),
        unpredicted={method.name: method.chosen.unpredicted for method in methods},
    )
    print("\n".join(comparison.lines()))
    print(f"comparison: {written}")


def figures(options: argparse.Namespace, methods: Sequence[Method]) -> None:
    """Draws the timelines of the chosen videos."""
    chosen = methods[0].chosen
    videos = chosen_names(options.figure, chosen.truth.videos)
    contents = video_contents(options, chosen, options.output / "report.html")
    names = [method.name for method in methods] if len(methods) > 1 else ["detections"]
    tables = {name: method.chosen.predictions for name, method in zip(names, methods, strict=True)}
    for file in write_video_figures(
        options.output, videos, options.figure_format, chosen.truth, tables, contents
    ):
        print(f"figure: {file}")


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
