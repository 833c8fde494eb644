"""The class names of an experiment in index order, and where they come from.

A data set of config/datasets.py names its classes. Those of `--dataset custom` come from
`--class_names`, or else from the labels of the training videos; a trained checkpoint brings its
own, because the index of a class is that of an output of its network.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from config.model_config import Config
from dataset.labels import read_class_names
from dataset.videos import Video
from utils.errors import Problems, UserError

BUILT_IN = "config/datasets.py"
FROM_LABELS = "gt.json"  # the labels of the training videos
SHOWN = 30  # class names that are printed in full


class Classes(NamedTuple):
    """Class names, and where they come from.

    Attributes:
        names: In index order; empty if they are the labels of the training videos.
        source: For messages.
    """

    names: tuple[str, ...]
    source: str = BUILT_IN


def find_classes(config: Config, stored: Sequence[str] | None = None) -> Classes:
    """The classes of an experiment.

    Args:
        config: Its settings.
        stored: Class names in the checkpoint `config.checkpoint`, None if it stores none.

    Returns:
        With `--test` those of the checkpoint; without names in it, or in training, those of the
        data set, of `--class_names` with `--dataset custom`, or no names yet, if only the training
        videos have them.

    Raises:
        UserError: If the file of `--class_names` cannot be read; if nothing names the classes of a
            checkpoint to test, or if it and `--class_names` name different ones.
    """
    own = Classes(config.spec.classes)
    if not own.names:
        own = Classes((), FROM_LABELS)
        if config.class_names:
            by_index = read_class_names(Path(config.class_names))
            names = tuple(by_index[index] for index in sorted(by_index))
            own = Classes(names, f"--class_names {config.class_names}")
    if not config.test:
        return own
    if stored is not None:
        if own.source.startswith("--class_names"):
            check_same_classes(stored, config.checkpoint, own)
        return Classes(tuple(stored), f"checkpoint {config.checkpoint}")
    if not own.names:
        raise UserError(
            f"checkpoint {config.checkpoint} stores no class names; --class_names FILE names them "
            "in the order of its training, one per line"
        )
    return own


def training_classes(
    database: Mapping[str, Video], training: Collection[str], problems: Problems
) -> tuple[str, ...]:
    """The labels of the training videos, sorted by name; a problem is added if there is none."""
    videos = [database[name] for name in training if name in database]
    names = tuple(sorted({label for video in videos for label in video.labels}))
    if not names and not problems.messages:
        problems.add(
            "no training video has a label, from which the classes are taken; label the training "
            "videos in gt.json, or name the classes with --class_names FILE"
        )
    return names


def check_same_classes(stored: Sequence[str] | None, checkpoint: str, classes: Classes) -> None:
    """Checks that a checkpoint distinguishes the classes of this experiment, in the same order.

    Args:
        stored: Class names in the checkpoint; nothing is checked if it stores none.
        checkpoint: Checkpoint file, for messages.
        classes: Classes of the experiment.

    Raises:
        UserError: If it does not, naming the difference.
    """
    difference = "" if stored is None else class_difference(stored, classes.names)
    if difference:
        raise UserError(
            f"checkpoint {checkpoint} was trained with other classes than {classes.source}: "
            f"{difference}; use the class list of its training (--class_names FILE), or train "
            "from the start"
        )


def class_difference(before: Sequence[str], now: Sequence[str]) -> str:
    """How two class lists differ, in words; "" if they are equal."""
    if tuple(before) == tuple(now):
        return ""
    missing = [name for name in before if name not in now]
    new = [name for name in now if name not in before]
    parts = [f"only the checkpoint has {_listed(missing)}"] if missing else []
    parts += [f"it does not have {_listed(new)}"] if new else []
    if not parts:
        index = next(i for i, (a, b) in enumerate(zip(before, now, strict=True)) if a != b)
        parts = [f"another order (class {index} is {before[index]} there, {now[index]} here)"]
    return ", ".join(parts)


def classes_line(classes: Classes) -> str:
    """One line with the class names, for the terminal."""
    return f"classes: {len(classes.names)} from {classes.source}: {_listed(classes.names)}"


def unlabelled_warning(classes: Sequence[str], videos: Collection[Video]) -> str:
    """A warning if a class of the list has no training video; "" if all have one."""
    labels = {label for video in videos for label in video.labels}
    without = [name for name in classes if name not in labels]
    if not without:
        return ""
    have = "classes have" if without[1:] else "class has"
    return (
        f"warning: {len(without)} {have} no training video and cannot be learned: "
        f"{_listed(without)}; label such videos, or remove the name from --class_names"
    )


def _listed(names: Sequence[str]) -> str:
    """The names, of a long list the first ones."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
