"""Results of single videos: what each detection is, and how well each video is localized.

Letters: V videos, K thresholds, N detections, G instances, P pairs of a video and a class that is
annotated in it.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eval.detection.average_precision import DetectionResult, average_precision_of
from eval.detection.matching import match_ranked, overlapping_pairs, ranked
from eval.segments import Segments

NOT_FOUND = -1  # holder of an instance that no detection takes
NOT_SHOWN = -2  # holder that is not among the best detections of its video
AP_OF_A_VIDEO = (
    "AP of a video: the average precision of its own detections of a class, as if it were the only "
    "video, averaged over the classes annotated in it. Detections of other classes do not count."
)


@dataclass(frozen=True)
class VideoResults:
    """Detections and instances grouped by video, with everything that says how they fit together.

    Attributes:
        tiou: (K,) thresholds.
        detections: N detections by video, in each by descending score; their `videos` are those of
            the ground truth, then others that have detections.
        level: (N,) number of thresholds that the tIoU with an instance of the same class and video
            reaches.
        overlap: (N,) bit 0: it reaches the background tIoU with an instance of the same class; bit
            1: with one of another class.
        instances: G instances by video.
        holder: (K, G) detection that takes each instance, as for the mAP; `NOT_FOUND` or
            `NOT_SHOWN` if there is none.
        pair_video, pair_label: (P,) video and class of each pair, by video.
        pair_precision: (P, K) average precision in percent.
        pair_average: (P,) its main average in percent.
        known: Number of videos of the ground truth, which are the first ones.
        all_detections: N before `best_of_each_video`.
    """

    tiou: NDArray[np.float64]
    detections: Segments
    level: NDArray[np.int64]
    overlap: NDArray[np.int64]
    instances: Segments
    holder: NDArray[np.int64]
    pair_video: NDArray[np.int64]
    pair_label: NDArray[np.int64]
    pair_precision: NDArray[np.float64]
    pair_average: NDArray[np.float64]
    known: int
    all_detections: int

    @property
    def videos(self) -> tuple[str, ...]:
        """Names of the V videos."""
        return self.detections.videos

    def average_by_video(self) -> dict[str, float]:
        """The main average of each annotated video in percent: the mean over its classes."""
        number = np.bincount(self.pair_video, minlength=len(self.videos))
        total = np.bincount(self.pair_video, self.pair_average, minlength=len(self.videos))
        return {self.videos[v]: float(total[v] / number[v]) for v in np.flatnonzero(number)}

    def best_of_each_video(self, most: int) -> "VideoResults":
        """The same with at most this many detections of each video, those of highest score."""
        video = self.detections.video
        place = np.arange(len(video)) - np.searchsorted(video, video)
        kept = place < most
        # The last entry is that of index -1, an instance that no detection takes.
        moved = np.append(np.where(kept, np.cumsum(kept) - 1, NOT_SHOWN), NOT_FOUND)
        return replace(
            self,
            detections=self.detections.take(kept),
            level=self.level[kept],
            overlap=self.overlap[kept],
            holder=moved[self.holder],
        )


def video_results(
    truth: Segments,
    detections: Segments,
    result: DetectionResult,
    average: str,
    *,
    background_tiou: float = 0.1,
    ap: str = "activitynet",
) -> VideoResults:
    """Matches detections and instances as for the mAP, and evaluates every video by itself.

    Args:
        truth: Instances.
        detections: Detections; those of a class outside the ground truth are left out.
        result: Their mAP, which has the thresholds.
        average: Name of the main average, one of `result.averages()`.
        background_tiou: tIoU below which a detection is unrelated to an instance.
        ap: Kind of average precision, see `detection_map`.
    """
    known = set(truth.videos)
    used = [detections.videos[video] for video in np.unique(detections.video)]
    others = tuple(name for name in used if name not in known)
    wider = replace(truth, videos=truth.videos + others)
    best_first = ranked(detections, wider)
    holder = match_ranked(best_first, wider, result.tiou)

    order = np.argsort(best_first.video, kind="stable")
    new_place = np.append(np.empty(len(order), np.int64), NOT_FOUND)
    new_place[order] = np.arange(len(order))
    by_video = np.argsort(truth.video, kind="stable")
    found = best_first.take(order)
    instances = wider.take(by_video)
    holder = new_place[holder[:, by_video]]
    level, overlap = _overlaps(found, instances, result.tiou, background_tiou)
    pair_video, pair_label, precision = _pairs(found, instances, holder, ap)
    averages = replace(
        result,
        classes=tuple(map(str, range(len(pair_video)))),
        average_precision=precision.T,
        instances=np.ones(len(pair_video), np.int64),
    ).class_averages(average)
    return VideoResults(
        tiou=result.tiou,
        detections=found,
        level=level,
        overlap=overlap,
        instances=instances,
        holder=holder,
        pair_video=pair_video,
        pair_label=pair_label,
        pair_precision=precision * 100,
        pair_average=averages,
        known=len(truth.videos),
        all_detections=len(found),
    )


def _overlaps(
    detections: Segments,
    instances: Segments,
    tiou: NDArray[np.float64],
    background_tiou: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`level` and `overlap` of `VideoResults`."""
    lowest = min(background_tiou, float(tiou.min()))
    pairs = overlapping_pairs(detections, instances, detections.video, instances.video, lowest)
    same = detections.label[pairs.detection] == instances.label[pairs.instance]
    own, other = np.zeros(len(detections)), np.zeros(len(detections))
    np.maximum.at(own, pairs.detection[same], pairs.tiou[same])
    np.maximum.at(other, pairs.detection[~same], pairs.tiou[~same])
    level = (own[:, None] >= tiou).sum(axis=1)
    return level, (own >= background_tiou) + 2 * (other >= background_tiou)


def _pairs(
    detections: Segments, instances: Segments, holder: NDArray[np.int64], ap: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Video and class of each pair, and the (P, K) average precision of its detections."""
    classes = len(instances.classes)
    key = instances.video * classes + instances.label
    pairs, number = np.unique(key, return_counts=True)
    hit = np.zeros((len(holder), len(detections) + 1), bool)  # last column: no detection
    np.put_along_axis(hit, holder, True, axis=1)
    detection_key = detections.video * classes + detections.label
    order = np.argsort(detection_key, kind="stable")
    edges = [np.searchsorted(detection_key[order], pairs, side=s) for s in ("left", "right")]
    ranges = np.stack(edges, 1).tolist()  # first and one past the last detection of each pair
    precision = np.zeros((len(pairs), len(holder)))
    for pair, (begin, end) in enumerate(ranges):
        found = np.cumsum(hit[:, order[begin:end]], axis=1)
        rank = np.arange(1, end - begin + 1)
        precision[pair] = average_precision_of(found / rank, found / number[pair], ap)
    return pairs // max(classes, 1), pairs % max(classes, 1), precision
