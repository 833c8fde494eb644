"""The ways in which data directories of the field store features and annotations.

plain        <split>/<video>.npy, or features/<video>.npy (ACM-Net)
two_streams  <split>/rgb/<video>.npy and <split>/flow/<video>.npy, also in features/ (BaS-Net, CoLA)
joint        *-JOINTFeatures.npy with all videos, and a folder *-Annotations (W-TALC, CO2-Net, DELU)
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dataset.annotation_forms import WANTED, entries_of
from dataset.features.files import FeatureForm, HeaderCache, SnippetFile, find_features
from dataset.features.two_streams import join_streams
from dataset.joint_features import JointFiles, find_joint_files
from dataset.splits import feature_folder
from utils.errors import Problems, UserError
from utils.files import read_json

LAYOUTS = ("auto", "plain", "two_streams", "joint")
STREAMS = ("rgb", "flow")


class Layout(Protocol):
    """Where the annotations and the features of a data directory are."""

    @property
    def annotations(self) -> Path:
        """File of the annotations, for messages."""

    def entries(self) -> tuple[dict[str, Any], str]:
        """The annotations of each video, and a remark on their form.

        Raises:
            UserError: If they cannot be read.
        """

    def digest(self) -> str:
        """SHA-256 of the annotations."""

    def present(self, split: str) -> set[str]:
        """Names of the videos with features that may belong to a split."""

    def files(
        self, split: str, names: Sequence[str], problems: Problems, cache: HeaderCache | None
    ) -> Sequence[SnippetFile]:
        """The features of some videos, in their order; a problem for each that has none."""


@dataclass(frozen=True)
class PlainLayout:
    """One file per video."""

    folder: Path
    form: FeatureForm

    @property
    def annotations(self) -> Path:
        """The annotation file."""
        return self.folder / "gt.json"

    def entries(self) -> tuple[dict[str, Any], str]:
        """The annotations of each video, and a remark on their form."""
        path = self.annotations
        return entries_of(read_json(path, "annotation", f"wanted JSON, {WANTED}"), path)

    def digest(self) -> str:
        """SHA-256 of the annotation file."""
        return hashlib.sha256(self.annotations.read_bytes()).hexdigest()

    def present(self, split: str) -> set[str]:
        """Names of the feature files."""
        return {file.stem for file in feature_folder(self.folder, split).glob("*.npy")}

    def files(
        self, split: str, names: Sequence[str], problems: Problems, cache: HeaderCache | None
    ) -> Sequence[SnippetFile]:
        """The feature files."""
        folder = feature_folder(self.folder, split)
        return find_features(folder, names, problems, cache, self.form)


@dataclass(frozen=True)
class TwoStreamLayout(PlainLayout):
    """One file per video and stream; RGB comes first, whatever `form` says of the channels."""

    def present(self, split: str) -> set[str]:
        """Names of the videos with files of both streams."""
        rgb, flow = ({p.stem for p in f.glob("*.npy")} for f in stream_folders(self.folder, split))
        return rgb & flow

    def files(
        self, split: str, names: Sequence[str], problems: Problems, cache: HeaderCache | None
    ) -> Sequence[SnippetFile]:
        """The pairs of files."""
        folders = stream_folders(self.folder, split)
        form = self.form._replace(flow_first=False)
        rgb, flow = (find_features(f, names, problems, cache, form) for f in folders)
        by_name = {file.name: file for file in flow}
        pairs = [(file, by_name[file.name]) for file in rgb if file.name in by_name]
        return [file for pair in pairs if (file := join_streams(*pair, problems)) is not None]


def stream_folders(folder: Path, split: str) -> tuple[Path, Path]:
    """The folders of the RGB and the flow files of a split."""
    for parent in (folder / "features" / split, folder / split, folder / "features", folder):
        if all((parent / stream).is_dir() for stream in STREAMS):
            return parent / "rgb", parent / "flow"
    return folder / split / "rgb", folder / split / "flow"


def open_layout(folder: Path, wanted: str, form: FeatureForm, subsets: Mapping[str, str]) -> Layout:
    """Finds out how a data directory is laid out; prints a line unless it is plain.

    Args:
        folder: Data directory.
        wanted: One of `LAYOUTS`; "auto" recognizes it by what is in the directory.
        form: How feature arrays are read.
        subsets: Subset of the annotations that is each split.

    Raises:
        UserError: If there is no such directory, or if it contains more than one layout.
    """
    joint = find_joint_files(folder)
    splits = ("train", "test")
    streams = [f for split in splits for f in stream_folders(folder, split) if f.is_dir()]
    plain = any(True for split in splits for _ in feature_folder(folder, split).glob("*.npy"))
    found = {"joint": joint is not None, "two_streams": bool(streams), "plain": plain and not joint}
    kinds = [name for name, is_there in found.items() if is_there]
    if wanted == "auto" and len(kinds) > 1:
        raise UserError(
            f"data directory {folder} has features in more than one layout: {' and '.join(kinds)}; "
            "choose one with --layout"
        )
    kind = wanted if wanted != "auto" else kinds[0] if kinds else "plain"
    if kind == "joint":
        if joint is None:
            raise UserError(
                f"--layout joint: {folder} has no *-JOINTFeatures.npy with a folder *-Annotations "
                "beside it"
            )
        print(f"layout: joint, {joint.features.name} and {joint.annotations.name}/")
        return JointFiles.opened(joint, form, subsets)
    if kind == "two_streams":
        where = streams[0].parent if streams else folder
        print(f"layout: two_streams, RGB and flow files in {where}")
        return TwoStreamLayout(folder, form)
    return PlainLayout(folder, form)
