"""What an evaluation found, to look at: one HTML page with pictures, one JSON file."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from dataset.annotations import is_plain_name
from eval.detection.average_precision import DetectionResult, detection_map
from eval.detection.error_analysis import KINDS, error_breakdown
from eval.evaluator import Evaluation
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
    videos: int = 12,
    snippet_seconds: float,
) -> Path:
    """Writes report.html, report.json and timelines/<video>.png into a folder.

    The page needs no other file and no network. Its pictures show the best, the median and the
    worst videos by `rate_videos`.

    Args:
        folder: is made if missing; a report in it is replaced.
        evaluation: of the scores.
        scores: of the videos that were scored, from which those drawn are chosen.
        truth: instances that the evaluation went by.
        title: of the page.
        settings: of the run, by name.
        videos: how many are drawn.
        snippet_seconds: seconds between the starts of neighbouring rows of a feature file.

    Returns:
        The path of the page.

    Raises:
        UserError: if the folder cannot be written, or a name is not safe as a file name; the
            latter before anything is written.
    """
    by_name = {video.name: video for video in scores}
    rated = rate_videos(evaluation, truth, list(by_name))
    groups = _choose(rated, list(by_name), videos)
    drawn = [name for names in groups.values() for name in names]
    for name in drawn:
        if not is_plain_name(name):
            raise UserError(f"video name {name!r} is not a plain file name; rename the video")
    summary = _summary(evaluation, truth, list(by_name), rated)
    summary |= {"title": title, "drawn": groups, "settings": _plain(settings)}

    pictures = {}
    for name in drawn:
        figure = draw_timeline(
            by_name[name],
            truth,
            evaluation.detections,
            snippet_seconds=snippet_seconds,
            heading=f"{name}   average mAP {rated[name]:.1f} %" if name in rated else name,
        )
        path = folder / "timelines" / f"{name}.png"
        write_atomically(path, partial(figure.savefig, format="png"))
        pictures[name] = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    write_json(folder / "report.json", summary, indent=2)
    page = folder / "report.html"
    write_text(page, _page(summary, pictures))
    return page


def rate_videos(evaluation: Evaluation, truth: Segments, names: Sequence[str]) -> dict[str, float]:
    """How well each video came out: the average mAP of the headline, of it alone, in percent.

    The mean goes over the classes annotated in the video; detections of others do not count.
    Videos without an annotated instance are not rated.

    Args:
        evaluation: of the videos.
        truth: instances.
        names: of the videos to rate.
    """
    average, _ = evaluation.headline()
    tiou = evaluation.detection.tiou.tolist()
    rated = {}
    for name in names:
        instances = truth.of_video(name)
        if len(instances):
            result = detection_map(instances, evaluation.detections.of_video(name), tiou)
            rated[name] = result.averages()[average]
    return rated


def _choose(rated: Mapping[str, float], names: Sequence[str], count: int) -> dict[str, list[str]]:
    """Which videos are drawn, by group; equally rated ones go by name."""
    ranking = sorted(rated, key=lambda name: (-rated[name], name))
    if not ranking:
        return {"not rated, for want of annotated instances": sorted(names)[:count]}
    if len(ranking) <= count:
        return {"all, best first": ranking}
    best = math.ceil(count / 3)
    median = math.ceil((count - best) / 2)
    middle = (len(ranking) - median) // 2
    return {
        "best": ranking[:best],
        "median": ranking[middle : middle + median],
        "worst": ranking[len(ranking) - (count - best - median) :],
    }


def _summary(
    evaluation: Evaluation, truth: Segments, names: Sequence[str], rated: Mapping[str, float]
) -> dict[str, Any]:
    """Every number of the report as plain values; precisions and averages in percent."""
    result = evaluation.detection
    average, value = evaluation.headline()
    breakdown = error_breakdown(truth, evaluation.detections)
    unscored = sorted(set(truth.videos) - set(names))
    missed = sum(len(truth.of_video(name)) for name in unscored)
    return _plain(
        {
            "headline": {"average": average, "mAP": value},
            "tiou": result.tiou,
            "mAP": result.mean_average_precision * 100,
            "average_mAP": result.averages(),
            "classification_mAP": evaluation.classification * 100,
            "videos": result.videos,
            "videos_scored": len(names),
            "videos_not_predicted": unscored,
            "instances_not_predicted": missed,
            "instances": result.instances.sum(),
            "classes_scored": (result.instances > 0).sum(),
            "detections": result.detections.sum(),
            "detections_of_unknown_class": result.unknown_label,
            "false_positives_in_unknown_videos": result.unknown_video,
            "false_positives_without_annotation": result.unannotated,
            "classes": {
                name: {
                    "instances": result.instances[i],
                    "detections": result.detections[i],
                    "AP": result.average_precision[:, i] * 100,
                    "average_AP": _of_one_class(result, i).averages()[average],
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
            "video_mAP": rated,
        }
    )


def _of_one_class(result: DetectionResult, label: int) -> DetectionResult:
    return replace(
        result,
        classes=result.classes[label : label + 1],
        average_precision=result.average_precision[:, [label]],
        instances=result.instances[[label]],
        detections=result.detections[[label]],
    )


def _plain(value: Any) -> Any:
    """As JSON knows it: numpy's types unwrapped, NaN and infinity null, the unknown as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _page(summary: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The page; the template escapes every value."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["fixed"] = _fixed
    template = environment.get_template("report.html.j2")
    page = template.render(**summary, kinds=KINDS, pictures=pictures, how_to_read=HOW_TO_READ)
    # A path that is not UTF-8 reaches Python as lone surrogates, which no file can hold.
    return page.encode("utf-8", "replace").decode("utf-8")


def _fixed(value: float | None, decimals: int = 1) -> str:
    return "\N{EN DASH}" if value is None else f"{value:,.{decimals}f}"
