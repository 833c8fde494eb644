"""From what the network says about a video to scored segments in seconds.

Letters: T sampled snippets, C action classes, S = T x upsampling steps, K thresholds, P proposals.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eval.scores import VideoScores
from eval.segments import Segments


def localize(
    videos: Sequence[VideoScores],
    classes: Sequence[str],
    *,
    cas_thresholds: Sequence[float],
    attention_thresholds: Sequence[float],
    class_threshold: float = 0.25,
    upsampling: int = 20,
    outer: float = 0.2,
    nms_tiou: float = 0.55,
    nms_offset: float = 1.0,
    frames_per_second: float = 25.0,
    snippet_frames: int = 16,
) -> Segments:
    """The detections in all videos: `propose`, then `non_maximum_suppression`; arguments as there.

    Returns:
        The kept proposals by video (in the order given), class index and falling score. Videos
        without one stay in the list of names.

    Raises:
        ValueError: if shapes do not agree or a score is not finite, naming the video.
    """
    proposals = propose(
        videos,
        classes,
        cas_thresholds=cas_thresholds,
        attention_thresholds=attention_thresholds,
        class_threshold=class_threshold,
        upsampling=upsampling,
        outer=outer,
        frames_per_second=frames_per_second,
        snippet_frames=snippet_frames,
    )
    return non_maximum_suppression(proposals, tiou=nms_tiou, offset=nms_offset)


def propose(
    videos: Sequence[VideoScores],
    classes: Sequence[str],
    *,
    cas_thresholds: Sequence[float],
    attention_thresholds: Sequence[float],
    class_threshold: float = 0.25,
    upsampling: int = 20,
    outer: float = 0.2,
    frames_per_second: float = 25.0,
    snippet_frames: int = 16,
) -> Segments:
    """Runs of steps at or above each threshold, scored by outer-inner contrast, before the NMS.

    A video is searched for every class with a score above `class_threshold`, or for its best class
    if there is none. A run of one step is no proposal. Source: the released code, for THUMOS14.

    Args:
        videos: scores of each video; T = 0 is a video without proposals. Only the first C columns
            and class scores are read: the background may follow or be left out.
        classes: names of the C action classes.
        cas_thresholds: levels of the class activation sequence (CAS); such a run is scored on the
            sequence with everything below the level set to 0.
        attention_thresholds: levels of the attention; such a run is scored on the whole sequence.
        class_threshold: a class is searched for if its probability is above this.
        upsampling: steps a snippet.
        outer: length of the window on either side, as a part of the run's length.
        frames_per_second, snippet_frames: make a row of the feature file `snippet_frames /
            frames_per_second` seconds; a sampled snippet stands for `snippets / T` rows.

    Returns:
        Proposals in order of video, class, threshold (CAS first) and time. Score = mean of the CAS
        inside minus its mean over both windows, clipped at the borders (0 where nothing is left).

    Raises:
        ValueError: if shapes do not agree or a score is not finite, naming the video.
    """
    cas_levels = np.asarray(cas_thresholds, np.float64).reshape(-1, 1)
    attention_levels = np.asarray(attention_thresholds, np.float64).reshape(-1, 1)
    found = []
    for number, video in enumerate(videos):
        _check(video, len(classes))
        length = len(video.attention)
        if length == 0:
            continue
        attention_runs = _runs(upsample(video.attention, upsampling) >= attention_levels)
        step_seconds = snippet_frames * video.snippets / (frames_per_second * upsampling * length)
        for label in _searched_classes(video.class_scores[: len(classes)], class_threshold):
            cas = upsample(video.cas[:, label], upsampling)
            above = cas >= cas_levels  # (K, S)
            cas_runs = _runs(above)
            both = zip(cas_runs, attention_runs, strict=True)
            level, first, end = (np.concatenate(pair) for pair in both)
            # Row 0 is the CAS itself, row k + 1 what level k leaves of it; 0 behind the last step.
            sequences = np.zeros((len(above) + 1, len(cas) + 1))
            sequences[0, :-1] = cas
            np.multiply(cas, above, out=sequences[1:, :-1])
            level[: len(cas_runs[0])] += 1
            level[len(cas_runs[0]) :] = 0
            score = _outer_inner_contrast(sequences, level, first, end, outer)
            found.append((number, label, first * step_seconds, end * step_seconds, score))
    return _table(videos, classes, found)


def upsample(values: NDArray[np.floating], factor: int) -> NDArray[np.float64]:
    """Linear interpolation over time: step `factor * t` is snippet t.

    Args:
        values: (T,) scores of the snippets, T >= 1.
        factor: steps a snippet.

    Returns:
        (T * factor,) float64. The last `factor - 1` steps extend the last line; a single snippet is
        constant.
    """
    if len(values) == 1:
        return np.full(factor, values[0], np.float64)
    # As in the released code, whose values we reproduce, the difference is rounded to the precision
    # of the scores, and a snippet is the end of the line before it, not the start of the next one.
    rise = np.diff(values).astype(np.float64)
    fractions = np.arange(1, 2 * factor) / factor
    result = np.empty(len(values) * factor)
    behind = len(result) - factor + 1
    result[0] = values[0]
    lines = result[1:behind].reshape(-1, factor)
    np.multiply(rise[:, None], fractions[:factor], out=lines)
    lines += values[:-1, None]
    result[behind:] = values[-2] + rise[-1] * fractions[factor:]
    return result


def non_maximum_suppression(proposals: Segments, tiou: float, offset: float = 1.0) -> Segments:
    """Drops every proposal that overlaps a better kept one of its video and class too much.

    Args:
        proposals: P proposals.
        tiou: largest temporal intersection over union that is still allowed, 0 to 1.
        offset: seconds added to every length and overlap. 1 is the released code, an oddity handed
            down from boxes in pixels: it can also drop a disjoint neighbour shorter than a second.
            0 is the clean measure.

    Returns:
        The kept proposals by video, class and falling score; of equal scores the earlier row first.
    """
    ranked = proposals.take(np.lexsort((-proposals.score, _group(proposals))))
    better, worse = _overlapping_pairs(ranked, tiou, offset)
    kept = np.ones(len(ranked), bool)
    while len(better):
        # In each round those without a better rival are safe, and their own rivals go. A greedy
        # loop decides the same one proposal at a time.
        safe = kept.copy()
        safe[worse] = False
        kept[worse[safe[better]]] = False
        undecided = kept[better] & kept[worse] & ~safe[better]
        better, worse = better[undecided], worse[undecided]
    return ranked.take(kept)


def _overlapping_pairs(
    ranked: Segments, tiou: float, offset: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs (better row, worse row) of one video and class with an overlap above `tiou`."""
    group = _group(ranked)
    row = np.lexsort((ranked.start, group))
    group, start, end = group[row], ranked.start[row], ranked.end[row]
    length = end - start + offset
    # The overlap with a proposal that starts later is at most what is left of this one, and the
    # union at least all of it: no partner starts behind `reach` (and a little, for the rounding).
    reach = start + (1 - tiou) * length + 1e-6
    pairs = [(row[:0], row[:0])]
    this = np.arange(len(row))
    for lag in range(1, len(row)):
        this = this[: np.searchsorted(this, len(row) - lag)]
        other = this + lag
        near = (group[other] == group[this]) & (start[other] <= reach[this])
        this, other = this[near], other[near]  # starts rise: who is out of reach now, stays so
        if not len(this):
            break
        overlap = np.maximum(np.minimum(end[this], end[other]) - start[other] + offset, 0)
        above = overlap > tiou * (length[this] + length[other] - overlap)
        pairs.append((row[this[above]], row[other[above]]))
    one, two = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return np.minimum(one, two), np.maximum(one, two)


def _group(segments: Segments) -> NDArray[np.int64]:
    """One number for each pair of video and class, in their order."""
    return segments.video * len(segments.classes) + segments.label


def _check(video: VideoScores, classes: int) -> None:
    cas, attention, class_scores = video.cas, video.attention, video.class_scores
    if cas.ndim != 2 or cas.shape[1] < classes or attention.shape != cas.shape[:1]:
        raise ValueError(
            f"video {video.name}: cas {cas.shape} and attention {attention.shape} do not fit; "
            f"wanted (T, {classes} or more) and (T,)"
        )
    if class_scores.ndim != 1 or len(class_scores) < classes:
        raise ValueError(
            f"video {video.name}: class_scores {class_scores.shape}, wanted ({classes} or more,)"
        )
    for field in ("cas", "attention", "class_scores"):
        if not np.isfinite(getattr(video, field)).all():
            raise ValueError(
                f"video {video.name}: {field} holds NaN or infinity; the network has diverged"
            )


def _searched_classes(class_scores: NDArray[np.floating], threshold: float) -> list[int]:
    above = np.flatnonzero(class_scores.astype(np.float64) > threshold)
    return above.tolist() or [int(np.argmax(class_scores))]


def _runs(
    above: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Runs of two or more True in the rows of (K, S): row, first step, last step + 1."""
    levels, steps = above.shape
    fenced = np.zeros((levels, steps + 2), bool)
    fenced[:, 1:-1] = above
    edges = np.flatnonzero(fenced[:, 1:] != fenced[:, :-1])
    level, edges = np.divmod(edges, steps + 1)
    level, first, end = level[::2], edges[::2], edges[1::2]
    long = end - first > 1
    return level[long], first[long], end[long]


def _outer_inner_contrast(
    sequences: NDArray[np.float64],
    row: NDArray[np.int64],
    first: NDArray[np.int64],
    end: NDArray[np.int64],
    outer: float,
) -> NDArray[np.float64]:
    """Mean inside each run minus the mean over the windows on both sides.

    Args:
        sequences: (rows, S + 1), each row's last value a filler.
        row, first, end: (P,) the run [first, end) of a row.
        outer: length of a window as a part of the run's length.
    """
    stride = sequences.shape[1]
    length = end - first
    # The released code truncates the place where a window ends, not its length.
    left = np.maximum(first - outer * length, 0).astype(np.int64)
    right = np.minimum(end - 1 + outer * length, stride - 2).astype(np.int64) + 1
    # Each stretch is summed by itself: differences of prefix sums lose digits where a short run
    # lies late in a long video. reduceat also sums from one run's right to the next one's left,
    # unless that lies before it, hence from the last run to the first.
    borders = np.stack([left, first, end, right], 1) + (row * stride)[:, None]
    sums = np.add.reduceat(sequences.ravel(), borders[::-1].ravel()).reshape(-1, 4)[::-1]
    # For an empty stretch reduceat gives the value at its border.
    outside = sums[:, 0] * (left < first) + sums[:, 2] * (end < right)
    return sums[:, 1] / length - outside / np.maximum(right - left - length, 1)


def _table(
    videos: Sequence[VideoScores], classes: Sequence[str], found: Sequence[tuple]
) -> Segments:
    """One table of the (video index, class index, starts, ends, scores) of each video and class."""
    number, label, start, end, score = zip(*found, strict=True) if found else [()] * 5
    sizes = [len(scores) for scores in score]
    empty = np.empty(0)
    return Segments(
        tuple(video.name for video in videos),
        tuple(classes),
        np.repeat(np.array(number, np.int64), sizes),
        np.repeat(np.array(label, np.int64), sizes),
        np.concatenate([empty, *start]),
        np.concatenate([empty, *end]),
        np.concatenate([empty, *score]),
    )
