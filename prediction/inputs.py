"""The inputs of predict.py: which of the given files and folders are features, which videos."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from dataset.video_names import composed
from extraction.files import SUFFIXES
from utils.file_kinds import kind_of

FEATURES = ".npy"
NUMPY_MAGIC = b"\x93NUMPY"
WANTED = "wanted .npy feature files or videos"


class Input(NamedTuple):
    """One video to predict.

    Attributes:
        name: Name of the video, that of the file without its ending.
        path: Its feature file, or the video itself.
        is_video: Whether it is a video, whose features have to be computed.
    """

    name: str
    path: Path
    is_video: bool


def find_inputs(paths: Sequence[Path]) -> tuple[list[Input], list[str]]:
    """Finds the videos among files and folders.

    Folders are not searched recursively. A file that is given twice, such as by its folder too,
    counts once; of different files with the same name only the first is used, since a prediction
    file has one entry per name.

    Args:
        paths: Files and folders, in any mixture.

    Returns:
        The inputs in the order given, those of a folder by name; and one line about each path that
        is not one.
    """
    inputs: dict[str, Input] = {}
    problems: list[str] = []
    for found in _all_inputs(paths):
        if isinstance(found, str):
            problems.append(found)
            continue
        first = inputs.setdefault(found.name, found)
        if first.path.resolve() != found.path.resolve():
            problems.append(
                f"{found.path} has the same name as {first.path}, and names of videos must differ; "
                "rename one or run the program once for each"
            )
    return list(inputs.values()), problems


def _all_inputs(paths: Sequence[Path]) -> Iterator[Input | str]:
    """The inputs of all paths, with duplicates, and a message for each path that is none."""
    for path in paths:
        try:
            if path.is_dir():
                yield from _in_folder(path)
            else:
                yield _from_file(path)
        except OSError as error:
            yield f"{path} cannot be read: {error.strerror}; check the path and its permissions"


def _in_folder(folder: Path) -> Iterator[Input | str]:
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    known = {FEATURES, *SUFFIXES}
    chosen = [path for path in files if path.suffix.lower() in known and path.is_file()]
    for path in chosen:
        yield Input(composed(path.stem), path, path.suffix.lower() != FEATURES)
    if not chosen:
        inner = [path.name for path in files if path.is_dir() and any(path.glob(f"*{FEATURES}"))]
        hint = f"; give {folder / inner[0]}, folders are not searched recursively" if inner else ""
        yield f"folder {folder} has none of the files that are read: {WANTED}{hint}"


def _from_file(path: Path) -> Input | str:
    """A file is a video unless its content says something else; decoding it has the last word."""
    if not path.exists():
        return f"{path} does not exist; {WANTED}, or folders of them"
    with path.open("rb") as file:
        head = file.read(4096)
    is_features = path.suffix.lower() == FEATURES or head.startswith(NUMPY_MAGIC)
    if is_features or path.suffix.lower() in SUFFIXES:
        return Input(composed(path.stem), path, not is_features)
    kind = kind_of(head, path)
    if not kind and _is_text(head):
        kind = "a text file"
    if kind:
        return f"{path} is {kind}; {WANTED}"
    return Input(composed(path.stem), path, is_video=True)


def _is_text(head: bytes) -> bool:
    return head.isascii() and not set(head) & set(range(8))
