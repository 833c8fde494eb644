"""Which videos, classes and detections of two files are evaluated."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataset.text_files import read_split
from dataset.videos import Video
from eval.detection.name_matching import match_list, match_predictions
from eval.invalid_segments import invalid_segment_warnings
from eval.segments import Segments, ground_truth
from utils.errors import UserError

NAMES_SHOWN = 6  # names of a list that are spelled out in one line


@dataclass(frozen=True)
class Selection:
    """The instances and detections that are compared.

    Attributes:
        truth: Annotated instances of the chosen videos and classes.
        predictions: Detections that count.
        subset: Chosen subset of the annotation file.
        reason: Why this subset was chosen.
        left_out: Videos of the subset that were not chosen.
        left_out_instances: Number of instances in those videos.
        unpredicted: Chosen videos without an entry in the prediction file.
        dropped: Number of detections left out because of the chosen videos or classes.
        notes: Lines about names that differ in the two files and about invalid segments.
        ambiguous: Intervals of the chosen videos in which the THUMOS14 kit counts no false
            positives; None if there are none or the protocol is another one.
        durations: Seconds of the chosen videos whose duration is known.
    """

    truth: Segments
    predictions: Segments
    subset: str
    reason: str
    left_out: tuple[str, ...]
    left_out_instances: int
    unpredicted: tuple[str, ...]
    dropped: int
    notes: tuple[str, ...] = ()
    ambiguous: Segments | None = None
    durations: Mapping[str, float] = field(default_factory=dict)


def select(
    database: dict[str, Video],
    predictions: Segments,
    subset: str | None = None,
    videos: str = "all",
    classes: Sequence[str] | None = None,
) -> Selection:
    """Chooses the videos, classes and detections to evaluate.

    Args:
        database: All annotated videos by name.
        predictions: All detections.
        subset: Subset of the database; by default the one with most of the predicted videos.
        videos: "all" of the subset; "predicted", those with an entry in the prediction file, even
            an empty list; or the path of a file of names, of any subset, then detections elsewhere
            are dropped.
        classes: Classes to evaluate, detections of the others are dropped; by default all that are
            annotated in the subset.

    Raises:
        UserError: If a subset, video or class does not exist, naming those that do.
    """
    predictions, notes = match_predictions(database, predictions)
    predicted = set(predictions.videos)
    if videos in ("all", "predicted"):
        subset, reason = _subset(database, predictions.videos, subset)
        members = [video for video in database.values() if video.subset == subset]
        chosen = [video for video in members if videos == "all" or video.name in predicted]
    else:
        names = read_split(Path(videos), "video list")
        chosen, about_list = match_list(names, database, videos)
        subsets = dict.fromkeys(video.subset for video in chosen)
        notes += [*about_list, *_about_subset(chosen, subset)]
        members = [video for video in database.values() if video.subset in subsets]
        subset, reason = ", ".join(subsets), f"of the videos listed in {videos}"
    annotated = list(dict.fromkeys(s.label for video in members for s in video.segments))
    kept_classes = _classes(annotated, classes, subset)
    evaluated = {video.name for video in chosen}
    left_out = [video for video in members if video.name not in evaluated]
    others = [video for video in database.values() if video.name not in evaluated]
    kept = predictions.take(_that_count(predictions, evaluated, videos, annotated, kept_classes))
    return Selection(
        truth=ground_truth(chosen, kept_classes),
        predictions=kept,
        subset=subset,
        reason=reason,
        left_out=tuple(video.name for video in left_out),
        left_out_instances=sum(s.label in kept_classes for v in left_out for s in v.segments),
        unpredicted=tuple(v.name for v in chosen if v.name not in predicted),
        dropped=len(predictions) - len(kept),
        notes=(*notes, *invalid_segment_warnings(chosen, others, kept_classes)),
        durations={video.name: video.duration for video in chosen if video.duration},
    )


def _about_subset(listed: Sequence[Video], subset: str | None) -> list[str]:
    """A warning if listed videos are not in the subset that was requested too."""
    others = [video.name for video in listed if subset not in (None, video.subset)]
    if not others:
        return []
    return [
        f"warning: {len(others)} listed videos are not in --subset {subset!r} (first: "
        f"{others[0]}); they are evaluated, as --videos decides"
    ]


def _that_count(
    predictions: Segments,
    evaluated: set[str],
    videos: str,
    annotated: Sequence[str],
    classes: Sequence[str],
) -> NDArray[np.bool_]:
    """(N,) whether a detection counts: not of a class left out, nor outside a list of videos."""
    unwanted = set(annotated) - set(classes)
    listed = videos not in ("all", "predicted")
    good_video = np.array([name in evaluated or not listed for name in predictions.videos], bool)
    good_class = np.array([name not in unwanted for name in predictions.classes], bool)
    return good_video[predictions.video] & good_class[predictions.label]


def first_names(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _subset(
    database: dict[str, Video], predicted: Iterable[str], subset: str | None
) -> tuple[str, str]:
    """The subset to evaluate, and the reason for it."""
    sizes = Counter(video.subset for video in database.values())
    known = ", ".join(f"{name or repr(name)} ({size} videos)" for name, size in sizes.items())
    if subset is not None:
        if subset not in sizes:
            raise UserError(f"--subset {subset!r} is not in the ground truth; it has {known}")
        return subset, "as requested"
    if len(sizes) == 1:
        return next(iter(sizes)), "the only one"
    found = Counter(database[name].subset for name in predicted if name in database)
    if not found:
        raise UserError(f"the prediction file has no video; give --subset, one of {known}")
    name, number = found.most_common(1)[0]
    return name, f"it has {number} of the {found.total()} predicted videos in the ground truth"


def _classes(annotated: list[str], wanted: Sequence[str] | None, subset: str) -> list[str]:
    """The wanted ones of the annotated classes, in the order of the annotations."""
    if not wanted:
        return annotated
    unknown = [name for name in wanted if name not in annotated]
    if unknown:
        raise UserError(
            f"--classes {', '.join(unknown)}: not annotated in subset {subset!r}, "
            f"which has {', '.join(sorted(annotated))}"
        )
    return [name for name in annotated if name in set(wanted)]
