"""The features of a video in two files, one for RGB and one for flow.

Letters: N snippets of a video, D channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.features.files import SnippetFile
from utils.errors import Problems

LARGEST_DIFFERENCE = 2  # snippets by which the streams may differ in length


@dataclass(frozen=True)
class TwoStreamFile:
    """Two files read as one, RGB first, cut to the shorter one; a `SnippetFile`.

    Attributes:
        rgb: File of the RGB stream.
        flow: File of the flow stream.
    """

    rgb: SnippetFile
    flow: SnippetFile

    @property
    def name(self) -> str:
        """Name of the video."""
        return self.rgb.name

    @property
    def path(self) -> Path:
        """Path of the RGB file."""
        return self.rgb.path

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D)."""
        (one, rgb), (other, flow) = self.rgb.shape, self.flow.shape
        return min(one, other), rgb + flow

    @property
    def dtype(self) -> np.dtype[Any]:
        """The more precise type of the two."""
        return np.promote_types(self.rgb.dtype, self.flow.dtype)

    @property
    def state(self) -> tuple[int, ...]:
        """States of both files."""
        return (*self.rgb.state, *self.flow.state)

    def read(self, index: slice | NDArray[np.int64]) -> NDArray[np.floating]:
        """Returns snippets, (n, D)."""
        if isinstance(index, slice):  # an open end is that of the shorter file
            index = slice(*index.indices(self.shape[0]))
        return np.concatenate([self.rgb.read(index), self.flow.read(index)], axis=1)

    def transposed(self) -> "TwoStreamFile":
        """The same files read with rows and columns exchanged."""
        return TwoStreamFile(self.rgb.transposed(), self.flow.transposed())


def join_streams(rgb: SnippetFile, flow: SnippetFile, problems: Problems) -> TwoStreamFile | None:
    """Joins the files of a video; a problem, and None, if their lengths do not fit together."""
    joined = TwoStreamFile(rgb, flow)
    one, other = rgb.shape[0], flow.shape[0]
    if abs(one - other) <= LARGEST_DIFFERENCE:
        return joined
    problems.add(
        f"{rgb.path} has {one} snippets and {flow.path} {other}; wanted the same number (up to "
        f"{LARGEST_DIFFERENCE} more are cut off): extract both streams with the same stride"
    )
    return None


def cut_note(pairs: Sequence[tuple[SnippetFile, SnippetFile]]) -> str:
    """One line about videos whose streams differ in length; "" if there are none."""
    unequal = [(rgb, flow) for rgb, flow in pairs if rgb.shape[0] != flow.shape[0]]
    if not unequal:
        return ""
    rgb, flow = unequal[0]
    return (
        f"{len(unequal)} of {len(pairs)} videos are cut to the shorter stream, such as {rgb.name} "
        f"({rgb.shape[0]} snippets of RGB, {flow.shape[0]} of flow)"
    )
