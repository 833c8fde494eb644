"""Which videos, classes and detections of two files are scored."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataset.annotations import Video, read_split
from eval.segments import Segments, ground_truth
from utils.errors import UserError

NAMES_SHOWN = 6  # of a list of names in a line


@dataclass(frozen=True)
class Selection:
    """What is scored against what.

    Attributes:
        truth: the annotated instances of the videos and classes scored.
        predictions: the detections scored.
        subset: the subset of the annotation file, and `reason`, why this one.
        left_out: videos of the subset that are not scored, with `left_out_instances`.
        unpredicted: videos scored that have no entry in the prediction file.
        dropped: number of detections not scored, because of the videos or classes chosen.
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
    """Picks the videos, classes and detections that are scored.

    Args:
        database: all annotated videos by name.
        predictions: all detections.
        subset: a subset of the database; by default the one with most of the predicted videos.
        videos: "all" of the subset; "predicted", those with an entry in the prediction file, be it
            an empty list; or the path of a file of names, then detections elsewhere are dropped.
        classes: the classes scored, detections of the others are dropped; by default all that are
            annotated in the subset.

    Raises:
        UserError: for a subset, video or class that is not there, naming those that are.
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
                f"video list {videos}: {some(unknown)} not in subset {subset!r} of the ground "
                "truth; choose another --subset or mend the list"
            )
    scored = set(chosen)
    annotated = list(dict.fromkeys(s.label for v in members.values() for s in v.segments))
    kept_classes = _classes(annotated, classes, subset)
    unwanted = set(annotated) - set(kept_classes)
    listed = videos not in ("all", "predicted")
    good_video = np.array([name in scored or not listed for name in predictions.videos], bool)
    good_class = np.array([name not in unwanted for name in predictions.classes], bool)
    kept = predictions.take(good_video[predictions.video] & good_class[predictions.label])
    left_out = [video for name, video in members.items() if name not in scored]
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


def some(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _subset(
    database: dict[str, Video], predicted: Iterable[str], subset: str | None
) -> tuple[str, str]:
    """The subset to score, and why this one."""
    sizes = Counter(video.subset for video in database.values())
    known = ", ".join(f"{name or repr(name)} ({size} videos)" for name, size in sizes.items())
    if subset is not None:
        if subset not in sizes:
            raise UserError(f"--subset {subset!r} is not in the ground truth; it has {known}")
        return subset, "as asked for"
    if len(sizes) == 1:
        return next(iter(sizes)), "the only one"
    found = Counter(database[name].subset for name in predicted if name in database)
    if not found:
        raise UserError(
            "no video of the prediction file is in the ground truth, which leaves open what to "
            f"score; check that the two files belong together or give --subset, one of {known}"
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
