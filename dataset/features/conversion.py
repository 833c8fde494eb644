"""The command `python -m dataset.features`: converts features to another precision or layout.

    python -m dataset.features --input DIR --output DIR --to float16

writes a copy of a data directory that needs half the disk space, memory and reading time, in the
plain layout whatever that of the input (docs/FORMATS.md). float16
keeps 11 significant bits of a value between 6.1e-5 and 65504, a relative rounding error of at most
4.9e-4. Smaller values have an absolute error of at most 3e-8; larger values are an error.
"""

import argparse
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dataset.annotations import database_of
from dataset.feature_layouts import LAYOUTS, Layout, PlainLayout, TwoStreamLayout, open_layout
from dataset.features.files import (
    AXES,
    PLAIN,
    FeatureFile,
    FeatureForm,
    SnippetFile,
    find_features,
)
from dataset.splits import split_names
from dataset.text_files import read_split
from dataset.video_names import match_names
from utils.errors import Problems, UserError, command
from utils.files import write_atomically, write_text
from utils.progress import progress_bar

SPLITS = ("train", "test")
SUBSETS = {"train": "train", "test": "test"}
COPIED = ("gt.json", "split_train.txt", "split_test.txt")


class Rounding(NamedTuple):
    """The rounding errors of a conversion.

    Attributes:
        relative: Largest relative error of the values in the normal range of the new precision.
        small: Number of values below that range, zeros excluded.
        absolute: Largest absolute error of these small values.
        values: Number of all values.
    """

    relative: float
    small: int
    absolute: float
    values: int


@command("dataset.features")
def main() -> None:
    """Converts a data directory and prints the rounding errors."""
    options = _parser().parse_args()
    dtype = np.dtype(options.to)
    form = FeatureForm(options.feature_axes, options.channel_order == "flow_rgb")
    rounding, files = convert(options.input, options.output, dtype, options.layout, form)
    before = sum(np.prod(file.shape) * file.dtype.itemsize for file in files)
    after = rounding.values * dtype.itemsize
    print(
        f"{options.output}: {len(files)} files, {before / 2**30:.3g} GiB before, "
        f"{after / 2**30:.3g} GiB now\n"
        f"largest relative rounding error: {rounding.relative:.2e}\n"
        f"values below {np.finfo(dtype).tiny:.1e}, where {dtype} is less precise: "
        f"{rounding.small} ({100 * rounding.small / rounding.values:.2g} %), "
        f"largest absolute error {rounding.absolute:.2e}"
    )


def convert(
    source: Path,
    target: Path,
    dtype: np.dtype[Any],
    layout: str = "auto",
    form: FeatureForm = PLAIN,
    workers: int = 4,
) -> tuple[Rounding, list[SnippetFile]]:
    """Writes a copy of a data directory with all features in another precision.

    The copy appears once it is complete; an interrupted or failed conversion leaves nothing.

    Args:
        source: Data directory of any layout. In the plain one, the features of the videos in the
            split files are converted, or all .npy files in train/ or test/ without a split file.
            gt.json and the split files are copied, everything else is left out; a line is printed
            about .npy files that are left out, and about features that are missing.
        target: New data directory, which must not exist.
        dtype: Type of the new files.
        layout: Layout of the source, see `dataset.feature_layouts`.
        form: How its feature arrays are read.
        workers: Number of threads that convert.

    Returns:
        The rounding errors of all values together, and the files that were converted.

    Raises:
        UserError: If the target exists; or with a list of all files that cannot be read, have NaN
            or infinite values, or values too large for the precision.
    """
    if target.exists():
        raise UserError(f"--output {target} exists already; remove it or choose another folder")
    found = open_layout(source, layout, form, SUBSETS)
    texts: dict[str, str] = {}
    places: dict[Path, SnippetFile]
    if isinstance(found, PlainLayout) and not isinstance(found, TwoStreamLayout):
        places = {file.path.relative_to(source): file for file in _find_files(source, form)}
    else:
        places, texts = _other_layout(source, found)
    files = list(places.values())
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.unfinished")
    try:
        rounding = _convert_files(places, source, unfinished, dtype, workers)
        for name in COPIED:
            if name in texts:
                write_text(unfinished / name, texts[name])
            elif (source / name).exists():
                shutil.copyfile(source / name, unfinished / name)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return rounding, files


def _other_layout(source: Path, layout: Layout) -> tuple[dict[Path, SnippetFile], dict[str, str]]:
    """Finds the features of a layout that is not plain, and what the plain one has in files.

    Returns:
        Features by their place in the new data directory, and the texts of gt.json and the split
        files, as far as the source does not have them.
    """
    entries, note = layout.entries()
    if note:
        print(note)
    database = database_of(entries, layout.annotations)
    texts = {} if (source / "gt.json").exists() else {"gt.json": json.dumps({"database": entries})}
    problems = Problems()
    places: dict[Path, SnippetFile] = {}
    for split in SPLITS:
        names = split_names(
            source,
            split,
            SUBSETS[split],
            database,
            layout.present(split),
            layout.annotations.name,
        )
        for file in layout.files(split, names, problems, None):
            places[Path(split, f"{file.name}.npy")] = file
        if not (source / f"split_{split}.txt").exists():
            texts[f"split_{split}.txt"] = "\n".join(names) + "\n"
    problems.raise_if_any(f"data directory {source}")
    return places, texts


def _find_files(source: Path, form: FeatureForm) -> list[FeatureFile]:
    """Finds and checks the feature files of a data directory; says what is left out or missing."""
    problems = Problems()
    files: list[FeatureFile] = []
    extra: list[str] = []
    missing: list[str] = []
    for split in SPLITS:
        folder = source / split
        present = {path.stem for path in folder.glob("*.npy")}
        names = sorted(present)
        if present and (source / f"split_{split}.txt").exists():
            listed = read_split(source / f"split_{split}.txt")
            stem_of = match_names(listed, present)
            missing += [f"{split}/{name}.npy" for name in listed if name not in stem_of]
            names = sorted(stem_of.values())
            extra += [f"{split}/{stem}.npy" for stem in sorted(present.difference(names))]
        files += find_features(folder, names, problems, form=form)
    problems.raise_if_any(f"data directory {source}")
    if not files:
        raise UserError(
            f"--input {source} has no train/<video>.npy and no test/<video>.npy of the videos in "
            "the split files"
        )
    if extra:
        print(f"left out: {len(extra)} .npy files of no video in the split files ({extra[0]}, ...)")
    if missing:
        print(f"warning: {len(missing)} videos of the split files have no features ({missing[0]})")
    return files


def _convert_files(
    places: dict[Path, SnippetFile],
    source: Path,
    target: Path,
    dtype: np.dtype[Any],
    workers: int,
) -> Rounding:
    """Converts all files and returns the rounding errors of all values together."""
    problems = Problems()
    found: list[Rounding] = []
    targets = [target / place for place in places]
    with (
        progress_bar(len(places), "file", f"converting to {dtype}") as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        for result in pool.map(partial(_convert_file, dtype=dtype), places.values(), targets):
            if isinstance(result, str):
                problems.add(result)
            else:
                found.append(result)
            bar.update()
    problems.raise_if_any(f"data directory {source}")
    relative, small, absolute, values = zip(*found, strict=True)
    return Rounding(max(relative), sum(small), max(absolute), sum(values))


def _convert_file(file: SnippetFile, target: Path, dtype: np.dtype[Any]) -> Rounding | str:
    """Converts one file; returns its rounding errors, or a message if it cannot be converted."""
    snippets = file.read(slice(None))
    with np.errstate(all="ignore"):  # an overflow becomes infinite, which is reported
        converted = np.ascontiguousarray(snippets, dtype=dtype)
        size = np.abs(snippets)
        error = np.abs(snippets - converted)
    if not np.isfinite(converted).all():
        snippet, channel = np.argwhere(~np.isfinite(converted))[0]
        value = snippets[snippet, channel]
        if not np.isfinite(value):
            return f"{file.path} has NaN or infinite values, first in snippet {snippet}"
        return (
            f"{file.path} has values too large for {dtype} (at most {np.finfo(dtype).max:g}), "
            f"first {value:g} in snippet {snippet}, channel {channel}; keep {file.dtype}, or scale "
            "all features"
        )
    write_atomically(target, lambda out: np.save(out, converted))
    normal = size >= np.finfo(dtype).tiny
    small = ~normal & (size > 0)
    relative = float((error[normal] / size[normal]).max(initial=0))
    absolute = float(error[small].max(initial=0))
    return Rounding(relative, int(small.sum()), absolute, snippets.size)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dataset.features",
        description="Writes a copy of a data directory with features of another precision; float16 "
        "halves the memory. gt.json and the split files are copied.",
    )
    parser.add_argument("--input", type=Path, required=True, help="data directory")
    parser.add_argument("--output", type=Path, required=True, help="new data directory")
    parser.add_argument("--to", choices=("float16", "float32"), required=True, help="precision")
    parser.add_argument("--layout", choices=LAYOUTS, default="auto", help="as of main_thu.py")
    parser.add_argument(
        "--channel_order", choices=("rgb_flow", "flow_rgb"), default="rgb_flow", help="likewise"
    )
    parser.add_argument("--feature_axes", choices=AXES, default="TD", help="likewise")
    return parser
