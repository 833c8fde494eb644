"""The two protocols by which detections are evaluated."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from config.datasets import THUMOS14
from dataset.videos import Video
from eval.detection.average_precision import ACTIVITYNET, DetectionResult, detection_map
from eval.detection.thumos_kit import THUMOS_KIT, thumos_kit_map
from eval.segments import Segments, ground_truth
from utils.errors import UserError

PROTOCOLS = (ACTIVITYNET, THUMOS_KIT)


def evaluate(
    truth: Segments,
    predictions: Segments,
    tiou: Sequence[float] = THUMOS14.tiou,
    *,
    protocol: str = ACTIVITYNET,
    ap: str | None = None,
    ambiguous: Segments | None = None,
) -> DetectionResult:
    """Evaluates detections by one of the protocols.

    Args:
        truth: G instances.
        predictions: N detections.
        tiou: K thresholds.
        protocol: "activitynet" (`detection_map`) or "thumos-kit" (`thumos_kit_map`).
        ap: Kind of average precision of the first protocol; the second one has its own.
        ambiguous: Intervals in which the second protocol counts no false positives.

    Raises:
        UserError: If the protocol is unknown, it has no such average precision, or it refuses the
            values.
    """
    if protocol not in PROTOCOLS:
        raise UserError(f"protocol is {protocol!r}; wanted one of {', '.join(PROTOCOLS)}")
    if protocol == ACTIVITYNET:
        return detection_map(truth, predictions, tiou, ap=ap or ACTIVITYNET)
    if ap is not None:
        raise UserError(
            f"ap is {ap!r}, but the protocol {THUMOS_KIT} has its own average precision; leave it "
            "out"
        )
    return thumos_kit_map(truth, predictions, ambiguous, tiou)


def split_ambiguous(
    database: dict[str, Video], labels: Collection[str]
) -> tuple[dict[str, Video], dict[str, Video]]:
    """Separates the annotations with some labels from the others.

    Args:
        database: All annotated videos by name.
        labels: Labels of ambiguous intervals.

    Returns:
        The videos without these annotations, and the videos with these annotations only.
    """
    return (
        {name: _filtered(video, labels, False) for name, video in database.items()},
        {name: _filtered(video, labels, True) for name, video in database.items()},
    )


def intervals_of(videos: Iterable[Video]) -> Segments:
    """The segments of videos that can be found, whatever their label."""
    return ground_truth(videos).that_can_be_found()


def _filtered(video: Video, labels: Collection[str], chosen: bool) -> Video:
    return replace(
        video,
        segments=tuple(s for s in video.segments if (s.label in labels) is chosen),
        video_level_labels=tuple(v for v in video.video_level_labels if (v in labels) is chosen),
    )
