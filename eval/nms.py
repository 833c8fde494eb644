"""Non-maximum suppression of proposals along time, all videos and classes at once.

Letters: P proposals.
"""

import numpy as np
from numpy.typing import NDArray

from eval.ranges import blocks, expand_ranges, search_groups
from eval.segments import Segments
from eval.sorting import sort_by_group, stable_argsort

BLOCK = 16_384  # pairs compared at once: few enough for the caches


def non_maximum_suppression(proposals: Segments, tiou: float, offset: float = 1.0) -> Segments:
    """Drops every proposal that overlaps a better, kept one of its video and class too much.

    Args:
        proposals: P proposals.
        tiou: Largest temporal intersection over union that is still allowed, 0 to 1.
        offset: Seconds added to every length and overlap. 1 is the official implementation, a
            remnant of boxes in pixels: it can also drop a disjoint neighbour shorter than a
            second. 0 is the clean measure.

    Returns:
        The kept proposals by video, class and descending score; of equal scores the earlier row
        first.
    """
    ranked = proposals.take(sort_by_group(stable_argsort(-proposals.score), _group(proposals)))
    better, worse = _overlapping_pairs(ranked, tiou, offset)
    kept = np.ones(len(ranked), bool)
    while len(better):
        # In each round, proposals without a better rival are safe, and their own rivals are
        # dropped. A greedy loop decides the same, one proposal at a time.
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
    row = sort_by_group(np.argsort(ranked.start), _group(ranked))
    group, start, end = _group(ranked)[row], ranked.start[row], ranked.end[row]
    length = end - start + offset
    # The overlap with a proposal that starts later is at most what is left of this one, and the
    # union at least all of it: no partner starts after `reach` (plus a margin for rounding).
    reach = np.minimum(start + (1 - tiou) * length + 1e-6, start.max(initial=0))
    following = np.arange(1, len(row) + 1)
    count = np.maximum(search_groups(group, start, group, reach, "right") - following, 0)
    pairs = []
    for rows in blocks(count, BLOCK):
        this, other = expand_ranges(following[rows], count[rows])
        this += rows[0] if len(rows) else 0
        overlap = np.maximum(np.minimum(end[this], end[other]) - start[other] + offset, 0)
        above = overlap > tiou * (length[this] + length[other] - overlap)
        pairs.append((row[this[above]], row[other[above]]))
    one, two = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return np.minimum(one, two), np.maximum(one, two)


def _group(segments: Segments) -> NDArray[np.int64]:
    """One number for each pair of video and class, in their order."""
    return segments.video * len(segments.classes) + segments.label
