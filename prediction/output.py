"""What predict.py prints and writes: a table per video, JSON, CSV, figures."""

import csv
import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from eval.detection.prediction_file import write_predictions
from eval.scores import VideoScores
from eval.segments import Segments
from utils.errors import UserError
from utils.files import write_atomically, write_text

SHOWN = 10  # segments of a video in the table unless --top says otherwise
LONG = 100.0  # seconds from which times are shown in minutes and seconds


def video_table(
    video: VideoScores, segments: Segments, seconds: float, top: int | None, sort: str
) -> str:
    """The segments of one video as text.

    Args:
        video: The video.
        segments: Its segments.
        seconds: Its length.
        top: Maximum number of rows; None shows 10 and says how many more there are.
        sort: "score", descending, or "time".
    """
    number = f"{len(segments)} segment" + "s" * (len(segments) != 1)
    snippets = f"{video.snippets} snippet" + "s" * (video.snippets != 1)
    lines = [f"{video.name}: {clock(seconds, seconds)} ({snippets}), {number}"]
    order = np.argsort(-segments.score, kind="stable")[: top or SHOWN]
    if sort == "time":
        order = order[np.argsort(segments.start[order], kind="stable")]
    rows = segments.take(order)
    labels = [segments.classes[label] for label in rows.label]
    width = max(map(len, [*labels, "class"]))
    if len(rows):
        lines.append(f"  {'class':{width}}  {'start':>9}  {'end':>9}  {'score':>7}")
    for label, start, end, score in zip(labels, rows.start, rows.end, rows.score, strict=True):
        times = f"{clock(start, seconds):>9}  {clock(end, seconds):>9}"
        lines.append(f"  {label:{width}}  {times}  {score:7.3f}")
    if len(segments) > len(rows):
        lines.append(f"  and {len(segments) - len(rows)} of lower score (--top N shows more)")
    return "\n".join(lines)


def clock(seconds: float, length: float) -> str:
    """A time in a video of this length in seconds, such as 7.25 s, 2:07.25 or 1:02:07.25."""
    if length < LONG:
        return f"{seconds:.2f} s"
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    text = f"{rest // 100:02d}.{rest % 100:02d}"
    if length < 3600:
        return f"{minutes}:{text}"
    return f"{minutes // 60}:{minutes % 60:02d}:{text}"


def write_csv(path: Path, segments: Segments) -> None:
    """Writes segments as a table: video, label, start and end in seconds, score."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["video", "label", "start", "end", "score"])
    columns = (segments.video, segments.label, segments.start, segments.end, segments.score)
    for video, label, *numbers in zip(*(column.tolist() for column in columns), strict=True):
        table.writerow([segments.videos[video], segments.classes[label], *numbers])
    write_text(path, text.getvalue())


def write_figures(
    path: Path, videos: Sequence[VideoScores], segments: Segments, snippet_seconds: float
) -> Iterator[Path]:
    """Draws the timeline of each video, and yields the files.

    Args:
        path: File, of one video; for several ones their names are added to that of the file. A path
            without an ending is a folder.
        videos: Scores of the videos.
        segments: Their segments.
        snippet_seconds: Seconds between the starts of neighbouring snippets.

    Raises:
        UserError: If a file cannot be written.
    """
    from eval.report.predicted_timeline import draw_predicted_timeline  # matplotlib is slow

    for video in videos:
        file = path
        if not path.suffix:
            file = path / f"{video.name}.png"
        elif len(videos) > 1:
            file = path.with_name(f"{path.stem}-{video.name}{path.suffix}")
        figure = draw_predicted_timeline(video, segments, snippet_seconds=snippet_seconds)
        write_atomically(file, partial(figure.savefig, format=file.suffix[1:].lower()))
        yield file


def write_files(
    json: Path | None,
    csv_file: Path | None,
    figure: Path | None,
    videos: Sequence[VideoScores],
    segments: Segments,
    snippet_seconds: float,
) -> None:
    """Writes the files that were asked for and prints their names."""
    if json:
        write_predictions(json, segments)
        print(f"predictions: {json}")
    if csv_file:
        write_csv(csv_file, segments)
        print(f"table: {csv_file}")
    if figure:
        for file in write_figures(figure, videos, segments, snippet_seconds):
            print(f"figure: {file}")


def check_writable(*paths: Path | None) -> None:
    """Raises a `UserError` if a file to write is a folder, before anything is computed."""
    for path in paths:
        if path and path.is_dir():
            raise UserError(f"cannot write {path}: it is a folder; give the name of a file")
