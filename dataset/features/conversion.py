"""The command `python -m dataset.features`: a data directory with features of another precision.

Half the size on disk and in memory, half the time to read. float16 keeps 11 binary digits of a
value between 6.1e-5 and 65504, which is a rounding of at most 4.9e-4 of it; smaller values are off
by at most 3e-8, larger ones do not fit and are an error.
"""

import argparse
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from dataset.features.files import FeatureFile, find_features
from utils.errors import Problems, UserError, command
from utils.files import write_atomically

SPLITS = ("train", "test")
COPIED = ("gt.json", "split_train.txt", "split_test.txt")


class Rounding(NamedTuple):
    """What the conversion did to the values of a file.

    Attributes:
        relative: largest error of a value that the new precision holds in full, relative to it.
        small: number of values that are closer to zero than those, zeros left out.
        absolute: largest error of one of these.
        values: number of all values.
    """

    relative: float
    small: int
    absolute: float
    values: int


@command("dataset.features")
def main() -> None:
    """Converts, and prints what the rounding did."""
    options = _parser().parse_args()
    kind = np.dtype(options.to)
    done, files = convert(options.input, options.output, kind)
    before = sum(np.prod(file.shape) * file.dtype.itemsize for file in files)
    after = done.values * kind.itemsize
    print(
        f"{options.output}: {len(files)} files, {before / 2**30:.3g} GiB before, "
        f"{after / 2**30:.3g} GiB now\n"
        f"largest relative rounding error: {done.relative:.2e}\n"
        f"values below {np.finfo(kind).tiny:.1e}, where {kind} is coarser: {done.small} "
        f"({100 * done.small / done.values:.2g} %), largest error {done.absolute:.2e}"
    )


def convert(
    source: Path, target: Path, kind: np.dtype[Any], workers: int = 4
) -> tuple[Rounding, list[FeatureFile]]:
    """Writes a copy of a data directory with all features in another precision.

    The copy appears when it is complete; an interrupted or failed conversion leaves nothing.

    Args:
        source: data directory in the layout of the ACM-Net download. Every .npy file in train/ and
            test/ is converted, gt.json and the split files are copied, nothing else is.
        target: must not exist.
        kind: of the new files.
        workers: threads that convert.

    Returns:
        What the rounding did to all values together, and the files that were converted.

    Raises:
        UserError: if the target exists; listing every file that cannot be read, has NaN or infinite
            values, or values too large for the precision.
    """
    if target.exists():
        raise UserError(f"--output {target} exists already; remove it or choose another folder")
    problems = Problems()
    files: list[FeatureFile] = []
    for split in SPLITS:
        names = sorted(path.stem for path in (source / split).glob("*.npy"))
        files += find_features(source / split, names, problems)
    problems.raise_if_any(f"data directory {source}")
    if not files:
        raise UserError(f"--input {source} has no train/<video>.npy and no test/<video>.npy")
    begun = target.with_name(f"{target.name}.{os.getpid()}.unfinished")
    try:
        work = partial(_convert_file, source=source, target=begun, kind=kind)
        with (
            tqdm(total=len(files), desc=f"converting to {kind}", unit="file") as bar,
            ThreadPoolExecutor(workers) as pool,
        ):
            found: list[Rounding] = []
            for result in pool.map(work, files):
                if isinstance(result, str):
                    problems.add(result)
                else:
                    found.append(result)
                bar.update()
        problems.raise_if_any(f"data directory {source}")
        for name in COPIED:
            if (source / name).exists():
                shutil.copyfile(source / name, begun / name)
        begun.rename(target)
    finally:
        shutil.rmtree(begun, ignore_errors=True)
    relative, small, absolute, values = zip(*found, strict=True)
    return Rounding(max(relative), sum(small), max(absolute), sum(values)), files


def _convert_file(
    file: FeatureFile, source: Path, target: Path, kind: np.dtype[Any]
) -> Rounding | str:
    """Writes one file; returns what the rounding did to it, or why it cannot be."""
    rows = file.rows(slice(None))
    with np.errstate(all="ignore"):  # what does not fit becomes infinite, which is reported
        converted = np.ascontiguousarray(rows, dtype=kind)
        size = np.abs(rows)
        error = np.abs(rows - converted)
    if not np.isfinite(converted).all():
        row, channel = np.argwhere(~np.isfinite(converted))[0]
        value = rows[row, channel]
        if not np.isfinite(value):
            return f"{file.path} has NaN or infinite values, first in row {row}"
        return (
            f"{file.path} has values too large for {kind} (at most {np.finfo(kind).max:g}), "
            f"first {value:g} in row {row}, channel {channel}; keep {file.dtype}, or scale all "
            "features"
        )
    write_atomically(target / file.path.relative_to(source), lambda out: np.save(out, converted))
    full = size >= np.finfo(kind).tiny
    small = ~full & (size > 0)
    relative = float((error[full] / size[full]).max(initial=0))
    absolute = float(error[small].max(initial=0))
    return Rounding(relative, int(small.sum()), absolute, rows.size)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dataset.features",
        description="Writes a copy of a data directory with features of another precision: half "
        "the memory with float16. gt.json and the split files are copied.",
    )
    parser.add_argument("--input", type=Path, required=True, help="data directory")
    parser.add_argument("--output", type=Path, required=True, help="new data directory")
    parser.add_argument("--to", choices=("float16", "float32"), required=True, help="precision")
    return parser
