"""Results as tables, precisions in percent: text for the terminal, rows for CSV and notebooks."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from eval.detection.average_precision import ACTIVITYNET, DetectionResult


def map_table(result: DetectionResult) -> str:
    """The mAP at each threshold and the averages, three lines; another protocol is named."""
    protocol = _in_brackets(result.protocol)
    rows = [
        ["tIoU", *(f"{value:g}" for value in result.tiou)],
        [f"mAP %{protocol}", *(f"{value * 100:.2f}" for value in result.mean_average_precision)],
    ]
    averages = "   ".join(f"{name}: {value:.2f}" for name, value in result.averages().items())
    return f"{_aligned(rows)}\naverage mAP %{protocol}   {averages}"


def counts_line(result: DetectionResult) -> str:
    """What the evaluation covers: numbers of videos, instances, classes and detections."""
    return (
        f"evaluated: {result.videos} videos, {result.instances.sum()} instances of "
        f"{(result.instances > 0).sum()} classes, {result.detections.sum()} detections"
    )


def class_columns(values: Mapping[str, Any]) -> list[str]:
    """Names of the columns of `class_rows`: class, instances, detections and AP at each tIoU."""
    return ["class", "instances", "detections", *(f"AP@{tiou:g}" for tiou in values["tiou"])]


def class_rows(values: Mapping[str, Any]) -> list[list[Any]]:
    """One row per class with its counts and average precisions, and the means as the last row.

    Args:
        values: Of `eval.detection.plain_values.detection_values`.

    Returns:
        Rows of `class_columns`; a class without an instance has None as average precision and is
        not part of the means. The counts of the last row are totals.
    """
    rows = [
        [name, row["instances"], row["detections"], *row["AP"]]
        for name, row in values["classes"].items()
    ]
    return [*rows, ["mean", values["instances"], values["detections"], *values["mAP"]]]


def class_csv(values: Mapping[str, Any]) -> str:
    """All rows of `class_rows` as CSV, with the protocol as the last column; a value that does not
    exist is an empty cell.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*class_columns(values), "protocol"])
    writer.writerows([*row, values["protocol"]] for row in class_rows(values))
    return text.getvalue()


def class_text(values: Mapping[str, Any]) -> str:
    """The rows of `class_rows` for the terminal, without the classes that have no instance."""
    rows = [["", *class_columns(values)[1:]]]
    rows += [[_cell(cell, 2) for cell in row] for row in class_rows(values) if row[1]]
    title = f"Average precision per class, in %{_in_brackets(values['protocol'])}"
    lines = [title, _aligned(rows)]
    hidden = [row["detections"] for row in values["classes"].values() if not row["instances"]]
    if sum(hidden):
        lines.append(
            f"{len(hidden)} classes without instances are not shown ({sum(hidden)} detections)"
        )
    return "\n".join(lines)


def error_text(errors: Mapping[str, Any]) -> str:
    """The error analysis for the terminal: kinds of the best detections, and missed instances.

    Args:
        errors: Of `eval.detection.plain_values.plain_values`, under "errors".
    """
    kinds = list(next(iter(errors["best"].values())))
    rows = [["", *kinds, "detections"]]
    for best, counts in errors["best"].items():
        total = sum(counts.values())
        percent = (counts[kind] / max(total, 1) * 100 for kind in kinds)
        rows.append([best, *(_cell(value, 1) for value in percent), str(total)])
    parts = [
        f"Error analysis (DETAD) at tIoU {errors['tiou']:g}: the best k G detections by kind, in % "
        "(G = instances of the class)",
        _aligned(rows),
    ]
    for what, key in (
        ("length", "missed_by_length"),
        ("instances in the video", "missed_by_number"),
    ):
        rows = [["", "instances", "missed", "missed %"]]
        for name, row in errors[key].items():
            missed = row["missed"] / row["instances"] * 100 if row["instances"] else None
            rows.append([name, *(_cell(v, 1) for v in (*row.values(), missed))])
        parts += ["", f"Instances missed by the best 10G, by {what}", _aligned(rows)]
    return "\n".join(parts)


def _in_brackets(protocol: str) -> str:
    """The protocol for a title; "" for the usual one."""
    return "" if protocol == ACTIVITYNET else f" ({protocol})"


def _cell(value: Any, decimals: int) -> str:
    if value is None:
        return "-"
    return f"{value:.{decimals}f}" if isinstance(value, float) else str(value)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width: the first one aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )
