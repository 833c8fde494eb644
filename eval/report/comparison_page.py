"""The page that compares several methods: one HTML file that needs no other file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.detection.average_precision import thresholds_of
from eval.detection.error_analysis import KINDS
from eval.detection.plain_values import json_ready
from eval.report.comparison import Comparison
from eval.report.html import SCRIPTS, STYLES, render
from eval.report.page import VideoContents, flat_versions
from eval.report.page_data import MOST_DETECTIONS, page_data
from eval.report.video_results import AP_OF_A_VIDEO
from utils.files import write_json, write_text

# All scripts of the report but the one that starts it.
COMPARISON_SCRIPTS = (*SCRIPTS[:-1], "compared_videos.js", "comparison.js")
COMPARISON_STYLES = (*STYLES, "comparison.css")


def write_comparison(
    folder: Path,
    comparison: Comparison,
    contents: VideoContents,
    *,
    title: str,
    settings: Mapping[str, object],
    command: str = "",
    versions: Mapping[str, object] | None = None,
    unpredicted: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Writes comparison.html, which needs no other file and no network, and comparison.json.

    Args:
        folder: Folder of the page, made if missing; a comparison in it is replaced.
        comparison: Results of the methods.
        contents: Lengths and files of the videos.
        title: Title of the page.
        settings: Settings by name.
        command: The command line that made the page.
        versions: Versions of the software by name.
        unpredicted: For methods by name, videos of the ground truth without a prediction.

    Returns:
        Path of the page.

    Raises:
        UserError: If the folder cannot be written.
    """
    values = comparison.values()
    for name, method in values["methods"].items():
        method["videos_not_predicted"] = sorted((unpredicted or {}).get(name, ()))
    values |= json_ready(
        {
            "title": title,
            "command": command,
            "settings": settings,
            "versions": flat_versions(versions or {}),
        }
    )
    write_json(folder / "comparison.json", values, indent=2)
    page = folder / "comparison.html"
    shown = {
        **values,
        "classes": _class_rows(comparison),
        "videos": len(comparison.truth.videos),
        "instances": len(comparison.truth),
        "ap_of_a_video": AP_OF_A_VIDEO,
    }
    data = _data(comparison, contents)
    write_text(
        page,
        render(
            "comparison.html.j2", shown, data, scripts=COMPARISON_SCRIPTS, styles=COMPARISON_STYLES
        ),
    )
    return page


def _class_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Name, instances, AP of each method and differences to the first of each class, best first."""
    averages = comparison.class_averages()
    counts = np.bincount(comparison.truth.label, minlength=len(comparison.truth.classes))
    differences = averages[1:] - averages[:1]
    largest = float(np.abs(np.nan_to_num(differences)).max(initial=0)) or 1.0
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "instances": int(counts[label]),
            "values": averages[:, label].tolist(),
            "differences": [
                {"value": float(value), "share": abs(float(value)) / largest * 100}
                for value in differences[:, label]
            ],
        }
        for label, name in enumerate(comparison.truth.classes)
        if counts[label]
    ]
    return sorted(rows, key=lambda row: row["differences"][-1]["value"], reverse=True)


def _data(comparison: Comparison, contents: VideoContents) -> dict[str, Any]:
    """What the script reads: the page data of each method."""
    methods = [
        {
            "name": name,
            "mAP": json_ready(method.detection.mean_average_precision * 100),
            "kinds": list(KINDS),
            **page_data(
                method.results,
                average=thresholds_of(comparison.average),
                durations=contents.durations,
                media=contents.media,
                most=MOST_DETECTIONS // len(comparison.methods),
            ),
        }
        for name, method in comparison.methods.items()
    ]
    return {"methods": methods, "media": bool(contents.media)}
