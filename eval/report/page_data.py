"""What the script of a page reads: videos, instances, detections and curves, packed.

The layout is documented here and nowhere else; `assets/data.js` unpacks it.

    classes           names of the classes
    tiou              thresholds at which detections are matched
    average           thresholds of the main average, as text
    videos.names      names; the first `known` ones belong to the ground truth
    videos.seconds    length of each video, 0 if unknown
    pairs             count per video; class, AP at each threshold and main average of each, in
                      percent
    instances         count per video; class, start, end of each; `holder`: per threshold the index
                      of the detection that takes each instance, -1 none, -2 one that is not shown
    detections        count per video; class, start, end, score, `level` and `overlap` of each
                      (`VideoResults`)
    curves            count and number of points per video; kind (a class, or -1 instance, -2
                      context, -3 background attention), lowest and highest value of each curve;
                      values in 256 steps between the two
    media             URL of the file of each video that has one, by the index of the video
    notes             lines about what was left out
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eval.report.curves import curves_of
from eval.report.encoding import packed
from eval.report.video_results import VideoResults
from eval.scores import VideoScores

MOST_DETECTIONS = 600_000  # of all videos of a page, 19 bytes each before base64
FEWEST_PER_VIDEO = 20


def page_data(
    results: VideoResults,
    *,
    average: str,
    scores: Sequence[VideoScores] = (),
    score_classes: Sequence[str] = (),
    snippet_seconds: float = 0.0,
    durations: Mapping[str, float] | None = None,
    media: Mapping[str, str] | None = None,
    most: int = MOST_DETECTIONS,
) -> dict[str, Any]:
    """Packs the videos of an evaluation for the script of a page.

    Args:
        results: Detections and instances of all videos.
        average: Thresholds of the main average, as text.
        scores: Scores of the videos that have some, for the curves.
        score_classes: Names of the columns of their `cas`.
        snippet_seconds: Seconds between the starts of neighbouring snippets of a feature file.
        durations: Length of videos in seconds, for those without scores.
        media: URL of the file of videos, relative to the page.
        most: Number of detections of all videos that the page can hold.

    Returns:
        Values for `script_json`.
    """
    notes = []
    limit = detections_per_video(results, most)
    if limit is not None:
        results = results.best_of_each_video(limit)
        notes.append(
            f"Of each video, the {limit} detections of highest score are shown, "
            f"{len(results.detections):,} of {results.all_detections:,}. The numbers of all "
            "sections above cover all detections."
        )
    by_name = {video.name: video for video in scores}
    curves, curve_notes = curves_of(by_name, score_classes, results)
    seconds = dict(durations or {})
    seconds |= {name: video.seconds(snippet_seconds) for name, video in by_name.items()}
    media = media or {}
    return {
        "classes": list(results.instances.classes),
        "tiou": results.tiou.tolist(),
        "average": average,
        "videos": {
            "names": list(results.videos),
            "known": results.known,
            "seconds": packed([seconds.get(name) or 0.0 for name in results.videos], "f4"),
        },
        **_tables(results),
        "curves": curves,
        "media": {str(i): media[name] for i, name in enumerate(results.videos) if name in media},
        "notes": [*notes, *curve_notes],
    }


def detections_per_video(results: VideoResults, most: int = MOST_DETECTIONS) -> int | None:
    """How many detections of each video fit into a page; None if all of them do."""
    counts = np.bincount(results.detections.video, minlength=1)
    if counts.sum() <= most:
        return None
    # The largest limit per video that keeps the sum below the budget, by bisection.
    low, high = FEWEST_PER_VIDEO, int(counts.max())
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if np.minimum(counts, middle).sum() <= most else (low, middle)
    return low


def _tables(results: VideoResults) -> dict[str, Any]:
    """Pairs, instances and detections."""
    number = len(results.videos)
    found, instances = results.detections, results.instances
    precision = np.column_stack([results.pair_precision, results.pair_average])

    def count(video: np.ndarray) -> dict[str, str]:
        return packed(np.bincount(video, minlength=number), "u4")

    return {
        "pairs": {
            "count": count(results.pair_video),
            "label": packed(results.pair_label, "u2"),
            "precision": packed(precision, "f4"),
        },
        "instances": {
            "count": count(instances.video),
            "label": packed(instances.label, "u2"),
            "start": packed(instances.start, "f4"),
            "end": packed(instances.end, "f4"),
            "holder": packed(results.holder, "i4"),
        },
        "detections": {
            "count": count(found.video),
            "label": packed(found.label, "u2"),
            "start": packed(found.start, "f4"),
            "end": packed(found.end, "f4"),
            "score": packed(found.score, "f4"),
            "level": packed(results.level, "u2"),
            "overlap": packed(results.overlap, "u1"),
        },
    }
