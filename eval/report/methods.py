"""Reads the prediction files of a report, all for the same videos and classes."""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

from eval.detection.command import read_and_select
from eval.detection.selection import Selection
from utils.errors import UserError


class Method(NamedTuple):
    """A prediction file that was read.

    Attributes:
        name: What it is called in a page.
        chosen: Its detections and the ground truth.
    """

    name: str
    chosen: Selection


def read_methods(options: argparse.Namespace) -> Sequence[Method]:
    """Reads the files, and prints what has to be said about them, each line once.

    The subset is that of the first file.

    Raises:
        UserError: If a file cannot be read, or if the files are about different videos.
    """
    methods: list[Method] = []
    notes: list[str] = []
    own = argparse.Namespace(**vars(options))
    for name, path in options.sources:
        own.predictions = path
        chosen = read_and_select(own)
        methods.append(Method(name, chosen))
        if options.videos in ("all", "predicted"):
            own.subset = chosen.subset
        notes += [note for note in chosen.notes if note not in notes]
    for note in notes:
        print(note)
    for method in methods[1:]:
        first, other = methods[0].chosen.truth, method.chosen.truth
        if first.videos != other.videos or first.classes != other.classes:
            raise UserError(
                f"--evaluate {options.videos} chooses {len(first.videos)} videos for "
                f"{methods[0].name} and {len(other.videos)} for {method.name}, or other ones; "
                "wanted the same for all: --evaluate all, or FILE with a list"
            )
    return methods
