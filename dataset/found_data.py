"""What a data directory contains, before the values of the features are read.

THUMOS14, as the ACM-Net download: train/<video>.npy test/<video>.npy gt.json split_train.txt
split_test.txt. ActivityNet: features/<video>.npy gt.json, and the subsets of gt.json as splits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataset.annotations import database_of
from dataset.checks import check_durations, check_names, check_widths
from dataset.classes import BUILT_IN, Classes, classes_line, training_classes, unlabelled_warning
from dataset.feature_layouts import Layout, open_layout
from dataset.features.check_cache import CheckCache
from dataset.features.files import PLAIN, FeatureForm, SnippetFile
from dataset.labels import LabelReader
from dataset.splits import read_blocked, split_names, without
from dataset.timing import Extent, SnippetTiming, are_transposed
from dataset.videos import Video
from utils.errors import Problems, UserError

SUBSETS = {"train": "train", "test": "test"}
LAYOUT = """wanted this layout:
    train/<video>.npy  features of the training videos, float (snippets, channels)
    test/<video>.npy   features of the test videos
    gt.json            {"database": {video: {"duration", "subset", "annotations"}}}
    split_train.txt    names of the training videos, one per line
    split_test.txt     names of the test videos
or all feature files in features/, and without split files the subsets of gt.json as splits;
docs/FORMATS.md lists the layouts of other repositories.
The README, section "Data", says where to find the THUMOS14 features;
`make demo` creates and uses a demonstration data set; no download needed."""


@dataclass(frozen=True)
class FoundData:
    """A data directory of which the annotations and the headers of the feature files were read.

    Attributes:
        classes: Class names in index order.
        database: All annotated videos by name.
        names: Names of the videos of each split that is read.
        training: Names of the training videos, even if their features are not read.
        layout: Where annotations and features are.
        files: Feature files of each split that is read.
        cache: Which files have been checked before.
    """

    classes: tuple[str, ...]
    database: dict[str, Video]
    names: dict[str, list[str]]
    training: frozenset[str]
    layout: Layout
    files: dict[str, Sequence[SnippetFile]]
    cache: CheckCache

    def extents(self) -> list[Extent]:
        """The lengths of all videos with a known duration."""
        return [
            Extent(f"{split}/{file.name}", file.shape[0], duration, file.shape[1])
            for split, found in self.files.items()
            for file in found
            if file.name in self.database and (duration := self.database[file.name].duration)
        ]


def find_data(
    folder: Path,
    classes: Sequence[str],
    splits: Sequence[str],
    problems: Problems,
    *,
    timing: SnippetTiming,
    classes_from: str = BUILT_IN,
    label_reader: LabelReader | None = None,
    strict: bool = False,
    subsets: Mapping[str, str] = SUBSETS,
    blocked_videos: str = "",
    layout: str = "auto",
    form: FeatureForm = PLAIN,
) -> FoundData:
    """Reads what a data directory contains and checks it, except for the values of the features.

    Args:
        folder: Data directory.
        classes: Class names; the other arguments as for `read_dataset`.
        splits: Names of the splits to read.
        problems: Collects what is wrong.
        timing: When the snippets of a feature file start.
        classes_from: Source of the class names.
        label_reader: How the labels of gt.json become class names.
        strict: Whether invalid times and durations in gt.json are problems.
        subsets: Subset of gt.json that is each split if there is no split file.
        blocked_videos: File with names of videos to leave out.
        layout: Where annotations and features are, see `feature_layouts.LAYOUTS`.
        form: How feature arrays are read.

    Raises:
        UserError: If there is no such folder, or if its layout is not clear.
    """
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"data directory {folder} {problem}; {LAYOUT}")
    source = open_layout(folder, layout, form, subsets)
    database, names, training = _read_texts(
        folder, source, splits, subsets, blocked_videos, label_reader, strict, problems
    )
    if not classes:
        classes = training_classes(database, training, problems)
    if classes_from != BUILT_IN and classes:
        print(classes_line(Classes(tuple(classes), classes_from)))
        if "train" in splits and (
            warning := unlabelled_warning(classes, [database[n] for n in training if n in database])
        ):
            print(warning)
    check_names(names, database, classes, training, problems, classes_from)
    cache = CheckCache(folder)
    files = {s: source.files(s, names[s], problems, cache) for s in splits}
    files = _as_snippets(files, database, timing)
    check_widths(files, problems)
    if timing.from_duration:
        check_durations(names, database, problems)
    return FoundData(tuple(classes), database, names, training, source, files, cache)


def _read_texts(
    folder: Path,
    source: Layout,
    splits: Sequence[str],
    subsets: Mapping[str, str],
    blocked_videos: str,
    label_reader: LabelReader | None,
    strict: bool,
    problems: Problems,
) -> tuple[dict[str, Video], dict[str, list[str]], frozenset[str]]:
    """Reads the annotations, the names of each split and those of the training videos."""
    annotated: dict[str, Video] = {}
    blocked: frozenset[str] = frozenset()
    with problems.collect():
        entries, note = source.entries()
        if note:
            print(note)
        annotated = database_of(entries, source.annotations, label_reader, strict=strict)
        blocked = read_blocked(blocked_videos, annotated)
    names: dict[str, list[str]] = {}
    for split in dict.fromkeys(["train", *splits]):
        listed = (folder / f"split_{split}.txt").exists()
        if listed or (split in splits and annotated):
            with problems.collect():
                found = split_names(
                    folder,
                    split,
                    subsets[split],
                    annotated,
                    source.present(split),
                    source.annotations.name,
                )
                names[split] = without(found, blocked)
    database = {name: video for name, video in annotated.items() if name not in blocked}
    training = frozenset(names.get("train", ()))
    return database, {split: names.get(split, []) for split in splits}, training


def _as_snippets(
    files: dict[str, Sequence[SnippetFile]], database: dict[str, Video], timing: SnippetTiming
) -> dict[str, Sequence[SnippetFile]]:
    """The same files, with rows and columns exchanged if they are transposed."""
    every = [file for found in files.values() for file in found]
    durations = [database[f.name].duration if f.name in database else None for f in every]
    if not are_transposed([file.shape for file in every], durations, timing):
        return files
    channels, snippets = every[0].shape
    print(
        f"warning: the feature files are transposed: all have {channels} rows, and columns that "
        f"fit the durations of the videos ({every[0].path.name}: {snippets} columns); they are "
        "read as (snippets, channels)"
    )
    return {split: [file.transposed() for file in found] for split, found in files.items()}
