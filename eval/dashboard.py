"""What wandb shows of an evaluation: average precision of each class, timelines of some videos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.detection.plain_values import detection_values
from eval.detection.tables import class_columns, class_rows
from eval.evaluator import Evaluation
from eval.scores import VideoScores
from eval.segments import Segments
from record.wandb_run import DrawImages, Table
from utils.errors import UserError


def class_table(evaluation: Evaluation) -> Table:
    """The average precision of each class that has an instance, in percent, and their mean.

    Returns:
        Columns class, instances, detections, the AP at each tIoU, and `average`, the main average
        over tIoU; the mean over the classes is the last row.
    """
    values = detection_values(evaluation.detection)
    name, value = evaluation.main_metric()
    averages = [*evaluation.detection.class_averages(name).tolist(), value]
    rows = [
        [*row, average]
        for row, average in zip(class_rows(values), averages, strict=True)
        if row[1]  # instances
    ]
    return Table([*class_columns(values), "average"], rows)


def timeline_videos(
    wanted: Sequence[str], names: Sequence[str], lengths: Sequence[int], truth: Segments
) -> list[str]:
    """Chooses the test videos whose timelines are drawn, the same in every epoch and run.

    Args:
        wanted: Names given by the user; if empty, the shortest, the median and the longest video
            with an instance.
        names: Names of the test videos.
        lengths: Their numbers of snippets.
        truth: Ground-truth instances.

    Raises:
        UserError: If a name is not that of a test video.
    """
    for name in wanted:
        if name not in names:
            raise UserError(
                f"--wandb_videos {name}: none of the {len(names)} test videos has this name, "
                f"wanted names such as {names[0]}"
            )
    annotated = {truth.videos[number] for number in np.unique(truth.video)}
    by_length = sorted(
        (length, name) for length, name in zip(lengths, names, strict=True) if name in annotated
    )
    places = (0, len(by_length) // 2, -1) if by_length else ()
    return list(dict.fromkeys(wanted or (by_length[place][1] for place in places)))


@dataclass(frozen=True)
class Timelines:
    """Draws the timelines of some test videos after some epochs.

    Attributes:
        videos: Names of the videos.
        truth: Ground-truth instances.
        snippet_seconds: Seconds between the starts of neighbouring snippets of a feature file.
        every: Number of epochs between two drawings; 0 draws none.
        last_epoch: Last epoch, after which they are drawn too.
    """

    videos: Sequence[str]
    truth: Segments
    snippet_seconds: float
    every: int
    last_epoch: int

    def are_due(self, epoch: int) -> bool:
        """Whether they are drawn after this epoch."""
        return self.every > 0 and (epoch % self.every == 0 or epoch == self.last_epoch)

    def of(self, scores: Sequence[VideoScores], evaluation: Evaluation) -> DrawImages:
        """Returns the function that draws them; it is called only if wandb is in use.

        Args:
            scores: Scores of all test videos.
            evaluation: Their evaluation.
        """
        return lambda: self._draw(scores, evaluation.detections)

    def _draw(
        self, scores: Sequence[VideoScores], detections: Segments
    ) -> dict[str, NDArray[np.uint8]]:
        """Pixels (height, width, 3) by the name of the video."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import

        from eval.report.timelines import draw_timeline

        by_name = {video.name: video for video in scores}
        images = {}
        for name in self.videos:
            video, seconds = by_name[name], self.snippet_seconds
            figure = draw_timeline(video, self.truth, detections, snippet_seconds=seconds)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            images[name] = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        return images
