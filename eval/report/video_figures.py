"""Figures of single videos for papers, as files."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dataset.video_names import look_alikes, match_names
from eval.report.figure_files import PAPER_DPI, write_figure
from eval.report.page import VideoContents
from eval.segments import Segments
from utils.errors import UserError


def chosen_names(wanted: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names of videos as they are annotated.

    Raises:
        UserError: If a video is unknown, naming those that look alike.
    """
    found = match_names(wanted, names)
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise UserError(
            f"--figure {' '.join(unknown)}: not among the {len(names)} evaluated videos "
            f"({look_alikes(unknown, names)})"
        )
    return list(dict.fromkeys(found[name] for name in wanted))


def write_video_figures(
    folder: Path,
    videos: Sequence[str],
    formats: Sequence[str],
    truth: Segments,
    methods: Mapping[str, Segments],
    contents: VideoContents,
) -> Iterator[Path]:
    """Draws the timeline of each video, and yields the files.

    Args:
        folder: Folder of the files, which are named like the videos.
        videos: Names of annotated videos.
        formats: Some of "png", "pdf" and "svg".
        truth: Instances.
        methods: Detections of each method by its name.
        contents: Lengths and scores of the videos.

    Raises:
        UserError: If a file cannot be written.
    """
    from eval.report.paper_figure import draw_paper_timeline  # matplotlib is slow

    scores = {video.name: video for video in contents.scores}
    for name in videos:
        own = scores.get(name)
        seconds = contents.durations.get(name) or 0.0
        if own is not None:
            seconds = own.seconds(contents.snippet_seconds)
        figure = draw_paper_timeline(name, seconds, truth, methods, own, contents.score_classes)
        for kind in dict.fromkeys(formats):
            file = folder / f"{_file_name(name)}.{kind}"
            write_figure(file, figure, PAPER_DPI)
            yield file


def _file_name(video: str) -> str:
    """The name of a video as the name of a file in the folder, whatever is in it."""
    return "".join("_" if letter in '/\\:*?"<>|\0' else letter for letter in video).lstrip(".")
