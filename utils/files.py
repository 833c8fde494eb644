"""Files that are either whole or not there."""

import errno
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from utils.errors import UserError


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file under a temporary name beside it, flushes it to disk and renames it into place.

    A reader, and a process killed at any moment, sees the old file or the new one, never a part.

    Args:
        path: where the file shall be; missing parent folders are made.
        write: is handed the open binary file and writes the content.

    Raises:
        UserError: if the folder cannot be written or the disk is full, the old file stays; or if
            the path is a folder or a device.
    """
    path = Path(path)
    temporary = None
    try:
        if path.exists() and not path.is_file():  # a rename would replace even /dev/null
            raise UserError(f"cannot write {path}: it is no ordinary file; choose another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"
        )
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; give the permissions that an ordinary open() would.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        cause = _cause_in_system(error)
        if cause is None:
            raise
        raise UserError(
            f"cannot write {path}: {cause.strerror or cause}; "
            "free some space or choose another folder, and run again (the previous file is intact)"
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files of a process that was killed while it wrote into the folder."""
    for path in Path(folder).glob(".*.tmp"):
        if path.is_file():
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically (see `write_atomically`)."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def append_line(path: Path, line: str) -> None:
    """Appends a line of UTF-8 text, all of it or nothing.

    Raises:
        UserError: if it cannot be written; the file is as it was before.
    """
    try:
        with Path(path).open("ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            text = (line + "\n").encode("utf-8")
            if file.write(text) != len(text):  # a disk that fills up takes a part
                file.truncate(before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another "
            "folder, and go on with --resume"
        ) from error


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Writes strict JSON atomically; NaN and infinity, unknown to JSON, are a ValueError."""
    text = json.dumps(value, indent=indent, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path, what: str) -> Any:
    """Reads a JSON file.

    Args:
        path: the file.
        what: what the file is to the user, for messages ("ground truth").

    Raises:
        UserError: if it is missing, unreadable, not UTF-8 or not JSON, naming the line and column.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(f"{what} file {path} does not exist; check the path") from error
    except OSError as error:
        raise UserError(f"{what} file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{what} file {path} is not UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"{what} file {path} is not valid JSON: {error.msg} at line {error.lineno}, "
            f"column {error.colno}; the file may be cut off, copy it again"
        ) from error
    except ValueError as error:  # an integer of thousands of digits
        raise UserError(f"{what} file {path} holds an integer of thousands of digits") from error
    except RecursionError as error:
        raise UserError(f"{what} file {path} is nested too deeply to be read as JSON") from error


def _cause_in_system(error: BaseException | None) -> OSError | None:
    """The error of the system behind an error; `torch.save` covers it with a RuntimeError."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself survive a power cut, where the system allows opening a folder."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
