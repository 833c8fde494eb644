"""Slow, readable reference implementations of the mAP and the error analysis, row by row."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.segments import Segments


def frame(segments: Segments) -> pd.DataFrame:
    """One row per segment, with names instead of indices."""
    return pd.DataFrame(
        {
            "video": [segments.videos[i] for i in segments.video],
            "label": [segments.classes[i] for i in segments.label],
            "start": segments.start,
            "end": segments.end,
            "score": segments.score,
        }
    )


def tiou_with(row: pd.Series, others: pd.DataFrame) -> NDArray[np.float64]:
    """Temporal IoU of one segment with each of the others; of length zero, 1 at the same moment."""
    lengths = others["end"].to_numpy() - others["start"].to_numpy()
    inside = np.minimum(row["end"], others["end"]) - np.maximum(row["start"], others["start"])
    inside = inside.to_numpy().clip(0)
    union = lengths + (row["end"] - row["start"]) - inside
    same = (others["start"] == row["start"]) & (others["end"] == row["end"])
    return np.where(union > 0, inside / np.where(union > 0, union, 1), same)


def by_score(predictions: pd.DataFrame, label: str) -> pd.DataFrame:
    """The detections of a class, best first, equal ones in the order of the table."""
    chosen = predictions[predictions["label"] == label]
    return chosen.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)


def find(
    predictions: pd.DataFrame, truth: pd.DataFrame, tiou: Sequence[float]
) -> tuple[NDArray[np.bool_], list[set[int]]]:
    """Goes through the detections of one class; each takes the free instance it overlaps most.

    Returns:
        (K, N) which detection finds one at which threshold, and for each threshold the instances
        found, by the index of `truth`.
    """
    hits = np.zeros((len(tiou), len(predictions)), bool)
    taken: list[set[int]] = [set() for _ in tiou]
    videos = truth.groupby("video")
    for number, (_, prediction) in enumerate(predictions.iterrows()):
        if prediction["video"] not in videos.groups:
            continue
        instances = videos.get_group(prediction["video"]).reset_index()
        overlap = tiou_with(prediction, instances)
        for k, threshold in enumerate(tiou):
            for i in np.argsort(-overlap, kind="stable"):
                if overlap[i] < threshold:
                    break
                if instances.loc[i]["index"] not in taken[k]:
                    taken[k].add(instances.loc[i]["index"])
                    hits[k, number] = True
                    break
    return hits, taken


def average_precision(hits: NDArray[np.bool_], positives: int, ap: str) -> float:
    """From the hits of one class at one threshold, best detection first."""
    precision = []  # after each detection
    found = 0
    for number, hit in enumerate(hits, 1):
        found += bool(hit)
        precision.append(found / number)
    if ap == "activitynet":  # the best precision from here on
        for i in reversed(range(len(precision) - 1)):
            precision[i] = max(precision[i], precision[i + 1])
    return sum(p for p, hit in zip(precision, hits, strict=True) if hit) / positives


def detection_map(
    truth: pd.DataFrame,
    predictions: pd.DataFrame,
    classes: Sequence[str],
    tiou: Sequence[float],
    ap: str = "activitynet",
) -> NDArray[np.float64]:
    """(K, C) average precision; NaN for a class without an instance."""
    result = np.full((len(tiou), len(classes)), np.nan)
    for column, label in enumerate(classes):
        instances = truth[truth["label"] == label]
        if len(instances):
            hits, _ = find(by_score(predictions, label), instances, tiou)
            result[:, column] = [average_precision(row, len(instances), ap) for row in hits]
    return result


def count_errors(
    truth: pd.DataFrame, predictions: pd.DataFrame, tiou: float, background_tiou: float
) -> tuple[list[dict[str, int]], set[int]]:
    """Number of detections of each kind among the best 1 G to 10 G, and the instances missed."""
    errors: list[dict[str, int]] = [{} for _ in range(10)]
    missed = set(truth.index)
    for label, instances in truth.groupby("label"):
        best = by_score(predictions, str(label)).head(10 * len(instances))
        hits, taken = find(best, instances, [tiou])
        missed -= taken[0]
        for number, (_, prediction) in enumerate(best.iterrows()):
            around = truth[truth["video"] == prediction["video"]]
            overlap = tiou_with(prediction, around)
            own = overlap[(around["label"] == label).to_numpy()].max(initial=0)
            if hits[0, number]:
                kind = "true positive"
            elif own >= tiou:
                kind = "duplicate"
            elif own >= background_tiou:
                kind = "localization"
            elif overlap.max(initial=0) >= background_tiou:
                kind = "wrong class"
            else:
                kind = "background"
            for k in range(10):
                if number < (k + 1) * len(instances):
                    errors[k][kind] = errors[k].get(kind, 0) + 1
    return errors, missed
