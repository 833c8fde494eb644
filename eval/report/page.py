"""The report of an evaluation: an HTML page with tables and timelines, and the same as JSON."""

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from config.datasets import THUMOS14
from dataset.video_names import is_plain_name
from eval.detection.average_precision import thresholds_of
from eval.detection.error_analysis import KINDS, ErrorAnalysis, analyze_errors
from eval.detection.plain_values import json_ready, plain_values
from eval.evaluator import Evaluation
from eval.report.drawn_videos import choose_videos, rate_videos
from eval.report.timelines import HOW_TO_READ, draw_timeline
from eval.scores import VideoScores
from eval.segments import Segments
from utils.errors import UserError
from utils.files import write_atomically, write_json, write_text


def write_report(
    folder: Path,
    evaluation: Evaluation,
    scores: Sequence[VideoScores],
    truth: Segments,
    *,
    title: str,
    settings: Mapping[str, object],
    snippet_seconds: float,
    length_edges: Sequence[float] = THUMOS14.length_edges,
    number_edges: Sequence[float] = THUMOS14.number_edges,
    videos: int = 12,
) -> Path:
    """Writes report.html, report.json and timelines/<video>.png into a folder.

    The page needs no other file and no network. Its figures show the best, the median and the
    worst videos by `rate_videos`.

    Args:
        folder: Folder of the report, made if missing; a report in it is replaced.
        evaluation: Evaluation of the scores.
        scores: Scores of the evaluated videos, among which those to draw are chosen.
        truth: Ground-truth instances of the evaluation.
        title: Title of the page.
        settings: Settings of the run by name.
        snippet_seconds: Seconds between the starts of neighbouring snippets of a feature file.
        length_edges, number_edges: Ranges of the error analysis, see `analyze_errors`.
        videos: Number of videos to draw.

    Returns:
        Path of the page.

    Raises:
        UserError: If the folder cannot be written, or a video name is not a plain file name; the
            latter before anything is written.
    """
    by_name = {video.name: video for video in scores}
    rated = rate_videos(evaluation, truth, list(by_name))
    groups = choose_videos(rated, list(by_name), videos)
    drawn = [name for names in groups.values() for name in names]
    for name in drawn:
        if not is_plain_name(name):
            raise UserError(f"video name {name!r} is not a plain file name; rename the video")
    analysis = analyze_errors(
        truth, evaluation.detections, length_edges=length_edges, number_edges=number_edges
    )
    values = {
        **_values(evaluation, truth, list(by_name), analysis),
        **json_ready({"video_mAP": rated, "title": title, "drawn": groups, "settings": settings}),
    }
    figures = {}
    for name in drawn:
        heading = f"{name}   average mAP {rated[name]:.1f} %" if name in rated else name
        figure = draw_timeline(
            by_name[name],
            truth,
            evaluation.detections,
            snippet_seconds=snippet_seconds,
            heading=heading,
        )
        figures[name] = _save(figure, folder / "timelines" / f"{name}.png")
    write_json(folder / "report.json", values, indent=2)
    page = folder / "report.html"
    write_text(page, _page(values, figures))
    return page


def _save(figure: Figure, path: Path) -> str:
    """Writes a figure and returns it as a data URL."""
    write_atomically(path, partial(figure.savefig, format="png"))
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _values(
    evaluation: Evaluation, truth: Segments, names: Sequence[str], analysis: ErrorAnalysis
) -> dict[str, Any]:
    """The plain values of the evaluation, with the main metric, of all and of each class."""
    average, value = evaluation.main_metric()
    unscored = sorted(set(truth.videos) - set(names))
    values = plain_values(evaluation.detection, analysis)
    averages = json_ready(evaluation.detection.class_averages(average))
    for row, average_precision in zip(values["classes"].values(), averages, strict=True):
        row["average_AP"] = average_precision
    values |= {
        "headline": {
            "average": average,
            "mAP": value,
        },  # the main metric; key kept for compatibility
        "classification_mAP": evaluation.classification * 100,
        "videos_scored": len(names),
        "videos_not_predicted": unscored,
        "instances_not_predicted": sum(len(truth.of_video(name)) for name in unscored),
    }
    ready: dict[str, Any] = json_ready(values)
    return ready


def _page(values: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """The page; the template escapes every value."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"fixed": _fixed, "thresholds": thresholds_of}
    template = environment.get_template("report.html.j2")
    page = template.render(**values, kinds=KINDS, figures=figures, how_to_read=HOW_TO_READ)
    # A path that is not UTF-8 reaches Python as lone surrogates, which no file can hold.
    return page.encode("utf-8", "replace").decode("utf-8")


def _fixed(value: float | None, decimals: int = 1) -> str:
    return "\N{EN DASH}" if value is None else f"{value:,.{decimals}f}"
