"""The table that the evaluation works on: labelled time intervals in many videos, as arrays."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dataset.videos import Video
from utils.errors import UserError


@dataclass(frozen=True)
class Segments:
    """N labelled time intervals: detections with their scores, or ground truth (all scores 1).

    Attributes:
        videos: Names of the videos, including those without a segment.
        classes: Names of the classes.
        video: (N,) int64, index into `videos`.
        label: (N,) int64, index into `classes`.
        start, end: (N,) float64, seconds.
        score: (N,) float64, higher is better.
    """

    videos: tuple[str, ...]
    classes: tuple[str, ...]
    video: NDArray[np.int64]
    label: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.video)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Segments":
        """The rows chosen by index or mask, with the same videos and classes."""
        return Segments(
            self.videos,
            self.classes,
            self.video[rows],
            self.label[rows],
            self.start[rows],
            self.end[rows],
            self.score[rows],
        )

    def of_video(self, name: str) -> "Segments":
        """The rows of one video; none if it is not in the table."""
        number = self.videos.index(name) if name in self.videos else -1
        return self.take(self.video == number)

    def without_videos(self, names: Collection[str]) -> "Segments":
        """The table without some videos and their rows."""
        kept = [number for number, video in enumerate(self.videos) if video not in names]
        place = np.full(len(self.videos), -1)
        place[kept] = np.arange(len(kept))
        rows = self.take(place[self.video] >= 0)
        videos = tuple(self.videos[number] for number in kept)
        return replace(rows, videos=videos, video=place[rows.video])

    def that_can_be_found(self) -> "Segments":
        """The rows that do not end before they start (`eval.invalid_segments`)."""
        return self.take(self.start <= self.end)


def segments_from_rows(
    videos: Sequence[str],
    classes: Sequence[str],
    rows: Iterable[tuple[int, int, float, float, float]],
) -> Segments:
    """Makes a table from rows.

    Args:
        videos: Names of the videos.
        classes: Names of the classes.
        rows: Tuples of video index, class index, start and end in seconds, and score.
    """
    columns = list(zip(*rows, strict=True)) or [(), (), (), (), ()]
    return Segments(
        tuple(videos),
        tuple(classes),
        np.asarray(columns[0], np.int64),
        np.asarray(columns[1], np.int64),
        np.asarray(columns[2], np.float64),
        np.asarray(columns[3], np.float64),
        np.asarray(columns[4], np.float64),
    )


def ground_truth(videos: Iterable[Video], classes: Sequence[str] | None = None) -> Segments:
    """Collects all annotated instances of the videos.

    Args:
        videos: Annotated videos; those without an instance stay in the list of videos, so that
            detections in them count as false positives.
        classes: Class names in index order; by default those that occur, in order of appearance.
            Instances of other classes are left out.

    Raises:
        UserError: If a video has an annotation without a segment, so that detections cannot be
            compared with it.
    """
    videos = list(videos)
    without_segment = [
        f"{video.name} ({', '.join(video.video_level_labels)})"
        for video in videos
        if video.video_level_labels
    ]
    if without_segment:
        raise UserError(
            f"annotations without a segment in {len(without_segment)} of {len(videos)} videos to "
            f"evaluate, such as {without_segment[0]}: training needs no segments, but the mAP "
            "needs [start, end] of every instance; add them, leave the annotations empty, or give "
            'such videos a "subset" that no test video has'
        )
    if classes is None:
        classes = list(dict.fromkeys(s.label for video in videos for s in video.segments))
    index = {name: i for i, name in enumerate(classes)}
    return segments_from_rows(
        [video.name for video in videos],
        classes,
        (
            (number, index[segment.label], segment.start, segment.end, 1.0)
            for number, video in enumerate(videos)
            for segment in video.segments
            if segment.label in index
        ),
    )
