"""Brings the video and class names of predictions and annotations together, or says why not."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from dataset.labels import similar_labels, similar_text
from dataset.video_names import look_alikes, match_names, prefix_note
from dataset.videos import Video
from eval.segments import Segments
from utils.errors import UserError

EXTENSION = ".mp4"


def match_predictions(
    database: dict[str, Video], predictions: Segments
) -> tuple[Segments, list[str]]:
    """Names the predicted videos as the annotations do, and compares videos and classes.

    Args:
        database: All annotated videos by name.
        predictions: All detections.

    Returns:
        The detections with the names of the annotations, and lines about names that differ.

    Raises:
        UserError: If no predicted video is annotated, or if labels differ only in their spelling,
            because the number would mean nothing.
    """
    found = match_names(predictions.videos, database)
    note = prefix_note(found, "predictions", "annotations")
    notes = [note] if note else []
    if extended := _match_with_extension(predictions.videos, found, database):
        first = next(iter(extended))
        notes.append(
            f"predictions: {len(extended)} video names matched with and without {EXTENSION} "
            f"(first: {first} is {extended[first]} in the annotations)"
        )
        found |= extended
    unknown = [name for name in predictions.videos if name not in found]
    if unknown:
        notes += _about_unknown_videos(unknown, len(found), database)
    labels = {label for video in database.values() for label in video.labels}
    notes += _about_classes(predictions.classes, sorted(labels))
    videos = tuple(found.get(name, name) for name in predictions.videos)
    return replace(predictions, videos=videos), notes


def match_list(
    names: Iterable[str], database: dict[str, Video], path: str
) -> tuple[list[Video], list[str]]:
    """The videos of a list of names, and lines about names that are spelled differently.

    Raises:
        UserError: If a name is not in the annotations.
    """
    names = list(names)
    found = match_names(names, database)
    unknown = [name for name in names if name not in found]
    if unknown:
        raise UserError(
            f"video list {path}: {len(unknown)} of {len(names)} names are not in the ground truth "
            f"({look_alikes(unknown, database)}); correct the list"
        )
    note = prefix_note(found, f"video list {path}", "annotations")
    return [database[found[name]] for name in names], [note] if note else []


def _match_with_extension(
    names: Iterable[str], found: dict[str, str], database: Collection[str]
) -> dict[str, str]:
    """The annotated video of each name that differs only in .mp4, unless another name is it."""
    taken = set(found.values())
    more: dict[str, str] = {}
    for name in names:
        other = name.removesuffix(EXTENSION) if name.endswith(EXTENSION) else name + EXTENSION
        if name not in found and other in database and other not in taken:
            more[name] = other
    return more


def _about_unknown_videos(unknown: list[str], found: int, database: dict[str, Video]) -> list[str]:
    """A warning if most predicted videos are unknown; an error if all are."""
    total = len(unknown) + found
    if not found:
        raise UserError(
            "no video of the prediction file is in the ground truth "
            f"({look_alikes(unknown, database)}); check that the two files belong together, or "
            "rename the videos in one of them"
        )
    if found >= len(unknown):
        return []
    return [
        f"warning: only {found} of {total} predicted videos are in the ground truth "
        f"({look_alikes(unknown, database)}); the detections in the others are false positives"
    ]


def _about_classes(predicted: Collection[str], annotated: Collection[str]) -> list[str]:
    """A warning if no predicted class is known; an error if only the spelling differs."""
    if pairs := similar_labels(predicted, annotated):
        raise UserError(similar_text(pairs, "the predictions", "the annotations"))
    if not predicted or not annotated or set(predicted) & set(annotated):
        return []
    if all(name.isdecimal() for name in predicted):
        return [
            "warning: no class of the prediction file is in the ground truth: the labels are "
            f"numbers, such as {next(iter(predicted))}; --class_names FILE names the classes of "
            "numbers, one per line"
        ]
    return [
        "warning: no class of the prediction file is in the ground truth "
        f"({look_alikes(predicted, annotated)}); if these are names of the same classes, give "
        "--label_aliases OTHER=CLASS"
    ]
