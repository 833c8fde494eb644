"""The ways in which data directories of the field store features and annotations.

plain        <split>/<video>.npy, or features/<video>.npy (ACM-Net)
two_streams  <split>/rgb/<video>.npy and <split>/flow/<video>.npy, also in features/ (BaS-Net, CoLA)
joint        *-JOINTFeatures.npy with all videos, and a folder *-Annotations (W-TALC, CO2-Net, DELU)
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from dataset.annotation_forms import WANTED, entries_of
from dataset.features.files import FeatureForm, HeaderCache, SnippetFile, find_features
from dataset.features.two_streams import cut_note, join_streams
from dataset.joint_annotations import AnnotationArrays
from dataset.joint_features import (
    ENDING,
    Annotations,
    JointLayout,
    JointPaths,
    find_joint_files,
)
from dataset.pickled_arrays import read_array
from dataset.splits import feature_folder
from utils.errors import Problems, UserError
from utils.files import read_json

LAYOUTS = ("auto", "plain", "two_streams", "joint")
STREAMS = ("rgb", "flow")
SPLITS = ("train", "test")
FILES = {  # by which a layout is recognized
    "plain": "<split>/<video>.npy",
    "two_streams": "folders rgb/ and flow/",
    "joint": f"*-{ENDING} with a folder *-Annotations beside it",
}


class Layout(Annotations, Protocol):
    """Where the annotations and the features of a data directory are.

    Attributes:
        in_memory: Whether features are in memory in any case.
    """

    in_memory: ClassVar[bool]

    def present(self, split: str) -> set[str]:
        """Names of the videos with features that may belong to a split."""

    def files(
        self, split: str, names: Sequence[str], problems: Problems, cache: HeaderCache | None
    ) -> Sequence[SnippetFile]:
        """The features of some videos, in their order; a problem for each that has none."""


@dataclass(frozen=True)
class PlainLayout:
    """One file per video."""

    in_memory: ClassVar[bool] = False
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
        if note := cut_note(pairs):
            print(f"{split}: {note}")
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
        UserError: If there are no such features, or those of more than one layout; or if a joint
            feature file and its annotations cannot be read or do not fit together.
    """
    joint = find_joint_files(folder) if wanted in ("auto", "joint") else None
    streams = [f for split in SPLITS for f in stream_folders(folder, split) if f.is_dir()]
    found = {
        "joint": joint or any(folder.glob(f"*{ENDING}")),
        "two_streams": streams,
        "plain": _has_plain_files(folder),
    }
    kinds = [name for name, is_there in found.items() if is_there]
    if wanted == "auto" and len(kinds) > 1:
        raise UserError(
            f"data directory {folder} has features in more than one layout: {' and '.join(kinds)}; "
            "choose one with --layout"
        )
    if kinds and wanted not in ("auto", *kinds):
        raise UserError(
            f"--layout {wanted}: {folder} has no {FILES[wanted]}, but features of the layout "
            f"{kinds[0]}; --layout auto recognizes them"
        )
    kind = wanted if wanted != "auto" else kinds[0] if kinds else "plain"
    if kind == "joint":
        if joint is None:
            raise UserError(f"--layout joint: {folder} has no {FILES[kind]}")
        return _open_joint(folder, joint, form, subsets)
    if kind == "two_streams":
        where = streams[0].parent if streams else folder
        print(f"layout: two_streams (as of BaS-Net), RGB and flow files in {where}")
        return TwoStreamLayout(folder, form)
    return PlainLayout(folder, form)


def _has_plain_files(folder: Path) -> bool:
    """Whether there are feature files of single videos."""
    files = (path for split in SPLITS for path in feature_folder(folder, split).glob("*.npy"))
    return any(not path.name.endswith(ENDING) for path in files)


def _open_joint(
    folder: Path, paths: JointPaths, form: FeatureForm, subsets: Mapping[str, str]
) -> JointLayout:
    """Reads a joint feature file; a gt.json beside it replaces its annotation arrays."""
    plain = PlainLayout(folder, form)
    replaced = plain.annotations.exists()
    annotations = "gt.json" if replaced else f"{paths.annotations.name}/"
    print(f"layout: joint (as of W-TALC), {paths.features.name} and {annotations}")
    arrays = read_array(paths.features)
    if arrays.ndim == 0 or not len(arrays):
        raise UserError(f"{paths.features} holds no videos, wanted one array per video")
    required = ("videoname",) if replaced else ("videoname", "subset")
    known = AnnotationArrays.read(paths.annotations, len(arrays), subsets, required)
    source: Annotations = plain if replaced else known
    return JointLayout(paths.features, arrays, known.names, source, form)
