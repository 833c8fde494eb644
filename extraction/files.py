"""The files of an extraction: videos to read, feature files to write, and their settings."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from utils.errors import UserError
from utils.files import read_json, write_atomically, write_json

# Containers that ffmpeg reads; a file with another suffix is not taken for a video.
SUFFIXES = frozenset((".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".gif", ".m2ts", ".m4v"))
SUFFIXES |= {".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob"}
SUFFIXES |= {".webm", ".wmv", ".y4m"}
SPLITS = ("train", "test")
SETTINGS_FILE = "extraction.json"


class VideoFile(NamedTuple):
    """A video to extract.

    Attributes:
        source: Video file.
        target: Feature file.
    """

    source: Path
    target: Path


def find_videos(source: Path, output: Path) -> list[VideoFile]:
    """Finds the videos in a folder and its subfolders, sorted by name.

    The features of videos in a folder train/ or test/ go into the folder of the same name, those of
    all others into features/: the layouts that training reads.

    Args:
        source: Folder of videos, or a single video.
        output: Data directory.

    Raises:
        UserError: If there is no video, if two videos have the same name, or if the data directory
            is a file.
    """
    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output} is a file; wanted a folder, which may be a new one")
    if not source.exists():
        raise UserError(f"--videos {source} does not exist; wanted a folder of video files")
    found = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    videos = [p for p in found if p.suffix.lower() in SUFFIXES or p == source]
    others = [p for p in found if p not in set(videos)]
    if not videos:
        inside = f"; other files: {len(others)}, such as {others[0].name}" if others else ""
        raise UserError(
            f"--videos {source}: no video file in this folder{inside}; wanted one of "
            f"{' '.join(sorted(SUFFIXES))}"
        )
    name, times = Counter(video.stem for video in videos).most_common(1)[0]
    if times > 1:
        same = [str(video) for video in videos if video.stem == name]
        raise UserError(
            f"--videos {source}: {times} videos are named {name}: {', '.join(same[:3])}; the name "
            "without its suffix names the feature file, so rename or remove the others"
        )
    if others:
        number = f"{len(others)} file" + "s" * (len(others) != 1)
        print(f"left out: {number} without the suffix of a video, such as {others[0]}")
    return [VideoFile(v, output / _folder(v, source) / f"{v.stem}.npy") for v in videos]


def _folder(video: Path, source: Path) -> str:
    """The folder of the data directory for the features of this video."""
    parts = video.relative_to(source).parts if video != source else ()
    return parts[0] if len(parts) > 1 and parts[0] in SPLITS else "features"


def is_done(target: Path, feature_dim: int) -> bool:
    """Whether the feature file exists, and so is complete.

    Raises:
        UserError: If it has another number of channels, or is no feature file.
    """
    if not target.exists():
        return False
    try:
        shape = np.load(target, mmap_mode="r").shape
    except (OSError, ValueError) as error:
        raise UserError(f"{target} is not a feature file; move it away and run again") from error
    if len(shape) != 2 or shape[1] != feature_dim:
        raise UserError(
            f"{target} has shape {shape}, wanted {feature_dim} channels; choose another --output "
            "or move it away"
        )
    return True


def write_features(
    target: Path, batches: Iterable[NDArray[np.float32]], feature_dim: int, dtype: DTypeLike
) -> int:
    """Writes the features of a video batch by batch; the file appears when it is complete.

    Args:
        target: Feature file, written as (T, D).
        batches: Features of consecutive snippets, (B, D).
        feature_dim: Channels (D).
        dtype: Type of the values in the file.

    Returns:
        Number of snippets (T).

    Raises:
        UserError: If a value is not finite, or is too large for the type.
    """
    written = 0

    def write(file: BinaryIO) -> None:
        nonlocal written
        header = _write_header(file, (0, feature_dim), dtype)
        for batch in batches:
            with np.errstate(over="ignore"):
                values = batch.astype(dtype)
            if not np.isfinite(values).all():
                raise UserError(
                    f"{target.stem}: features that {np.dtype(dtype)} cannot hold (largest: "
                    f"{np.abs(batch).max():.3g}); wrong weights, or use --dtype float32"
                )
            file.write(values.tobytes())
            written += len(values)
        file.seek(0)
        # numpy leaves room for the digits of the first dimension, so the header keeps its length.
        if _write_header(file, (written, feature_dim), dtype) != header:
            raise RuntimeError("the header of the feature file changed its length")

    write_atomically(target, write)
    return written


def _write_header(file: BinaryIO, shape: tuple[int, int], dtype: DTypeLike) -> int:
    """Writes the head of a .npy file and returns its length."""
    description = np.lib.format.dtype_to_descr(np.dtype(dtype))
    content = {"descr": description, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, content)
    return file.tell()


def check_settings(output: Path, settings: dict[str, Any]) -> None:
    """Compares the settings with those of earlier features in the data directory, or records them.

    Raises:
        UserError: If a setting differs, naming both values.
    """
    path = output / SETTINGS_FILE
    if not path.exists():
        write_json(path, settings, indent=1)
        return
    before = read_json(path, "settings of the extraction")
    if not isinstance(before, dict):
        raise UserError(f"{path} has no settings of an extraction; move it away and run again")
    for name, value in settings.items():
        if before.get(name) != value:
            raise UserError(
                f"--output {output} has features made with {_flag(name, before.get(name))}, now "
                f"wanted: {_flag(name, value)}; choose another --output, or the same settings"
            )


def _flag(name: str, value: object) -> str:
    """A setting as it is given on the command line; of weights, the beginning of their hash."""
    if not name.endswith("_weights"):
        return f"--{name} {value}"
    return f"--{name} of sha256 {str(value)[:8]}" if value else f"no --{name}"
