"""Video files of the evaluated videos, and their addresses relative to a page."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from dataset.video_names import composed, match_names
from utils.errors import UserError

# Kinds of files, those that browsers play first: a video may be there in several.
ENDINGS = (".mp4", ".webm", ".m4v", ".mov", ".ogv", ".mkv", ".avi", ".mpg", ".mpeg", ".wmv", ".flv")


def find_media(folder: Path, names: Sequence[str], page: Path) -> dict[str, str]:
    """Finds the file of each video, named like the video, with or without the prefix `v_`.

    Args:
        folder: Folder of video files; its subfolders are searched too.
        names: Names of videos.
        page: The page that will play them.

    Returns:
        Address of the file relative to the page, by name of the video, for those that have one.

    Raises:
        UserError: If the folder does not exist or has a file of none of the videos.
    """
    if not folder.is_dir():
        raise UserError(f"--videos {folder} is not a folder; name the folder of the video files")
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*"), key=_rank):
        if path.suffix.lower() in ENDINGS and path.is_file():
            files.setdefault(composed(path.stem), path)
    found = match_names(names, files)
    if not found:
        kinds = ", ".join(ENDINGS)
        example = f"such as {next(iter(files))}" if files else f"with the endings {kinds}"
        raise UserError(
            f"--videos {folder} has no file of an evaluated video: found {len(files)} video files "
            f"{example}; wanted files named like the videos, such as {next(iter(names), '')}.mp4"
        )
    return {name: _address(files[file], page) for name, file in found.items()}


def _rank(path: Path) -> tuple[int, str]:
    """Kinds that browsers play come first, then the order of the names."""
    ending = path.suffix.lower()
    return (ENDINGS.index(ending) if ending in ENDINGS else len(ENDINGS), str(path))


def _address(file: Path, page: Path) -> str:
    """The address of a file in a page: relative if both are on the same drive."""
    try:
        relative = os.path.relpath(file.resolve(), page.resolve().parent)
    except ValueError:  # another drive, on Windows
        return file.resolve().as_uri()
    return quote(os.fsencode(Path(relative).as_posix()))
