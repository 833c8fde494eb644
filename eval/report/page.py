"""The report of an evaluation: one HTML page that needs no other file, and its numbers as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.datasets import THUMOS14
from eval.detection.average_precision import ACTIVITYNET, thresholds_of
from eval.detection.error_analysis import KINDS, ErrorAnalysis, analyze_errors
from eval.detection.plain_values import json_ready, plain_values
from eval.evaluator import Evaluation
from eval.report.figure_files import EmbeddedImage
from eval.report.html import render
from eval.report.page_data import page_data
from eval.report.video_results import AP_OF_A_VIDEO, VideoResults, video_results
from eval.scores import VideoScores
from eval.segments import Segments
from utils.files import write_json, write_text


@dataclass(frozen=True)
class VideoContents:
    """What a page shows of the videos besides instances and detections; everything is optional.

    Attributes:
        scores: Scores of videos, for the curves of activation and attention.
        score_classes: Names of the columns of their `cas`.
        snippet_seconds: Seconds between the starts of neighbouring snippets of a feature file, for
            scores without a span.
        durations: Length of videos in seconds, for those without scores.
        media: Address of the file of videos, relative to the page.
    """

    scores: Sequence[VideoScores] = ()
    score_classes: Sequence[str] = ()
    snippet_seconds: float = 0.0
    durations: Mapping[str, float] = field(default_factory=dict)
    media: Mapping[str, str] = field(default_factory=dict)


def write_report(
    folder: Path,
    evaluation: Evaluation,
    truth: Segments,
    contents: VideoContents | None = None,
    *,
    title: str,
    settings: Mapping[str, object],
    command: str = "",
    versions: Mapping[str, object] | None = None,
    analysis: ErrorAnalysis | None = None,
    length_edges: Sequence[float] = THUMOS14.length_edges,
    number_edges: Sequence[float] = THUMOS14.number_edges,
    ap: str = ACTIVITYNET,
    unpredicted: Sequence[str] = (),
    alignment: EmbeddedImage | None = None,
) -> Path:
    """Writes report.html, which needs no other file and no network, and report.json.

    Args:
        folder: Folder of the report, made if missing; a report in it is replaced.
        evaluation: Detections and their evaluation.
        truth: Ground-truth instances of the evaluation.
        contents: Curves, lengths and files of the videos.
        title: Title of the page.
        settings: Settings of the run by name.
        command: The command line that made the report.
        versions: Versions of the software by name, such as those of `describe_environment`.
        analysis: Error analysis of the detections; by default at tIoU 0.5.
        length_edges, number_edges: Ranges of the default error analysis, see `analyze_errors`.
        ap: Kind of average precision, see `detection_map`.
        unpredicted: Videos of the ground truth for which there is no prediction.
        alignment: Figure of the alignments of pairs of videos.

    Returns:
        Path of the page.

    Raises:
        UserError: If the folder cannot be written.
    """
    contents = contents or VideoContents()
    if analysis is None:
        analysis = analyze_errors(
            truth, evaluation.detections, length_edges=length_edges, number_edges=number_edges
        )
    average, _ = evaluation.main_metric()
    results = video_results(
        truth,
        evaluation.detections,
        evaluation.detection,
        average,
        background_tiou=analysis.background_tiou,
        ap=ap,
    )
    values = {
        **report_values(evaluation, truth, analysis, unpredicted),
        **json_ready(
            {
                "video_mAP": results.average_by_video(),
                "title": title,
                "command": command,
                "versions": flat_versions(versions or {}),
                "settings": settings,
            }
        ),
    }
    data = _data(results, average, contents, values)
    write_json(folder / "report.json", values, indent=2)
    page = folder / "report.html"
    fixed = {"kinds": KINDS, "ap_of_a_video": AP_OF_A_VIDEO, "alignment": alignment}
    write_text(page, render("report.html.j2", {**values, **fixed}, data))
    return page


def report_values(
    evaluation: Evaluation,
    truth: Segments,
    analysis: ErrorAnalysis,
    unpredicted: Sequence[str] = (),
) -> dict[str, Any]:
    """The plain values of the evaluation, with the main metric of all and of each class."""
    average, value = evaluation.main_metric()
    values = plain_values(evaluation.detection, analysis)
    averages = json_ready(evaluation.detection.class_averages(average))
    for row, average_precision in zip(values["classes"].values(), averages, strict=True):
        row["average_AP"] = average_precision
    missing = set(unpredicted)
    unseen = [truth.videos[video] in missing for video in truth.video]
    values |= {
        # the main metric; key kept for compatibility
        "headline": {"average": average, "mAP": value},
        "classification_mAP": evaluation.classification * 100,
        "videos_scored": len(truth.videos) - len(missing),
        "videos_not_predicted": sorted(missing),
        "instances_not_predicted": sum(unseen),
    }
    ready: dict[str, Any] = json_ready(values)
    return ready


def flat_versions(versions: Mapping[str, Any]) -> dict[str, Any]:
    """The versions without groups, and without those that are not known."""
    flat: dict[str, Any] = {}
    for name, value in versions.items():
        flat |= value if isinstance(value, Mapping) else {name: value}
    return {name: value for name, value in flat.items() if value is not None}


def _data(
    results: VideoResults, average: str, contents: VideoContents, values: Mapping[str, Any]
) -> dict[str, Any]:
    """What the script reads: the videos, and the numbers of the charts."""
    data = page_data(
        results,
        average=thresholds_of(average),
        scores=contents.scores,
        score_classes=contents.score_classes,
        snippet_seconds=contents.snippet_seconds,
        durations=contents.durations,
        media=contents.media,
    )
    charts = {"mAP": values["mAP"], "best": values["errors"]["best"]}
    return {**data, "kinds": list(KINDS), "charts": charts}
