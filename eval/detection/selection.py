"""Which videos, classes and detections of two files are evaluated."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataset.annotations import Video, read_split
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
    """

    truth: Segments
    predictions: Segments
    subset: str
    reason: str
    left_out: tuple[str, ...]
    left_out_instances: int
    unpredicted: tuple[str, ...]
    dropped: int


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
            an empty list; or the path of a file of names, then detections elsewhere are dropped.
        classes: Classes to evaluate, detections of the others are dropped; by default all that are
            annotated in the subset.

    Raises:
        UserError: If a subset, video or class does not exist, naming those that do.
    """
    subset, reason = _subset(database, predictions.videos, subset)
    members = {name: video for name, video in database.items() if video.subset == subset}
    predicted = set(predictions.videos)
    if videos == "all":
        chosen = list(members)
    elif videos == "predicted":
        chosen = [name for name in members if name in predicted]
    else:
        chosen = read_split(Path(videos))
        unknown = [name for name in chosen if name not in members]
        if unknown:
            raise UserError(
                f"video list {videos}: {first_names(unknown)} not in subset {subset!r} of the "
                "ground truth; choose another --subset or correct the list"
            )
    evaluated = set(chosen)
    annotated = list(dict.fromkeys(s.label for v in members.values() for s in v.segments))
    kept_classes = _classes(annotated, classes, subset)
    unwanted = set(annotated) - set(kept_classes)
    listed = videos not in ("all", "predicted")
    good_video = np.array([name in evaluated or not listed for name in predictions.videos], bool)
    good_class = np.array([name not in unwanted for name in predictions.classes], bool)
    kept = predictions.take(good_video[predictions.video] & good_class[predictions.label])
    left_out = [video for name, video in members.items() if name not in evaluated]
    return Selection(
        truth=ground_truth((members[name] for name in chosen), kept_classes),
        predictions=kept,
        subset=subset,
        reason=reason,
        left_out=tuple(video.name for video in left_out),
        left_out_instances=len(ground_truth(left_out, kept_classes)),
        unpredicted=tuple(name for name in chosen if name not in predicted),
        dropped=len(predictions) - len(kept),
    )


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
        raise UserError(
            "no video of the prediction file is in the ground truth, so the subset to score is "
            f"unknown; check that the two files belong together or give --subset, one of {known}"
        )
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
