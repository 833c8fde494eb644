"""Checks that the annotations, the split files and the feature files fit together."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

from dataset.classes import BUILT_IN, FROM_LABELS
from dataset.features.files import SnippetFile
from dataset.labels import similar_labels, similar_text
from dataset.video_names import match_names, prefix_note
from dataset.videos import Video
from utils.errors import Problems, shown


def known_names(listed: Sequence[str], database: Mapping[str, Video], file: str) -> list[str]:
    """The names of a split file as the annotations spell them; a line is printed about a prefix.

    Args:
        listed: Names in the split file.
        database: All annotated videos by name.
        file: Name of the split file.

    Returns:
        As many names; one that is not in the annotations stays as it is.
    """
    found = match_names(listed, database)
    if note := prefix_note(found, file, "annotations"):
        print(note)
    return [found.get(name, name) for name in listed]


def check_names(
    names: Mapping[str, Sequence[str]],
    database: Mapping[str, Video],
    classes: Sequence[str],
    training: Collection[str],
    problems: Problems,
    classes_from: str = BUILT_IN,
) -> None:
    """Checks that the videos of the splits are annotated, with known classes, and in one split.

    Args:
        names: Names of the videos of each split that is read.
        database: All annotated videos by name.
        classes: Class names in index order.
        training: Names of the training videos. If they are not read, a test video among them only
            gets a warning.
        problems: Collects what is wrong.
        classes_from: Source of the class names, for messages.
    """
    for split, listed in names.items():
        for name in listed:
            if database and name not in database:
                problems.add(f"split_{split}.txt: {name} is not in gt.json")
    _check_labels(names, database, classes, problems, classes_from)
    everywhere = Counter(name for listed in names.values() for name in listed)
    for name, count in everywhere.items():
        if count > 1:
            problems.add(
                f"{name} is in both split files; test videos must not be used for training"
            )
    trained = [name for name in names.get("test", ()) if name in training]
    if trained and "train" not in names:
        print(
            f"warning: {len(trained)} of {len(names['test'])} test videos are in split_train.txt "
            f"too, such as {trained[0]}: a checkpoint may have been trained on them"
        )


def _check_labels(
    names: Mapping[str, Sequence[str]],
    database: Mapping[str, Video],
    classes: Sequence[str],
    problems: Problems,
    classes_from: str,
) -> None:
    unknown: dict[str, list[str]] = {}  # unknown label -> videos that have it
    for split, listed in names.items():
        for video in (database[name] for name in listed if name in database):
            if split == "train" and not video.labels:
                problems.add(
                    f"gt.json: training video {video.name} has no label; label or remove it"
                )
            for label in video.labels:
                if label not in classes:
                    unknown.setdefault(label, []).append(video.name)
    source = "the training videos" if classes_from == FROM_LABELS else classes_from
    for label, videos in unknown.items():
        near = get_close_matches(label, classes, 1)
        which = f"{videos[0]} and {len(videos) - 1} more have" if videos[1:] else f"{videos[0]} has"
        meant = f"; did you mean {near[0]}?" if near else ""
        if pairs := similar_labels([label], classes):
            meant = f": {similar_text(pairs, 'gt.json', source)}"
        problems.add(f"gt.json: {which} the unknown label {shown(label)}{meant}")
    if unknown:
        other = "; --ignore_labels leaves annotations with other labels out"
        advice = "" if classes_from == BUILT_IN else other
        problems.add(f"known labels are {', '.join(classes)} ({source}){advice}")


def check_widths(files: Mapping[str, Sequence[SnippetFile]], problems: Problems) -> None:
    """Adds a problem for every file whose number of channels differs from that of most files."""
    shape_of = {
        f"{split}/{file.path.name}": file.shape for split, found in files.items() for file in found
    }
    if not shape_of:
        return
    common = Counter(width for _, width in shape_of.values()).most_common(1)[0][0]
    as_many_rows = len({rows for rows, _ in shape_of.values()}) == 1  # as (channels, snippets) has
    for file, (rows, width) in shape_of.items():
        if width != common:
            transposed = rows == common or as_many_rows
            hint = "; is it transposed? wanted (snippets, channels)" if transposed else ""
            hint += ", see --feature_axes" if as_many_rows else ""
            problems.add(f"{file} has {width} channels, the other files have {common}{hint}")


def check_durations(
    names: Mapping[str, Sequence[str]], database: Mapping[str, Video], problems: Problems
) -> None:
    """Adds a problem if test videos have no duration, from which their snippets get their time."""
    missing = [
        name for name in names.get("test", ()) if name in database and not database[name].duration
    ]
    if missing:
        problems.add(
            f"gt.json: {len(missing)} of {len(names['test'])} test videos have no duration, such "
            f"as {missing[0]}, which --snippet_timing duration needs; add it"
        )
