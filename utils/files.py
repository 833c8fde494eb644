"""Writes files that are either complete or absent, and reads JSON."""

import errno
import gc
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from utils.errors import UserError, shown
from utils.file_kinds import kind_of


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a temporary file in the same folder, flushes it to disk and renames it into place.

    A reader, or a process killed at any moment, sees the old file or the new one, never a part.

    Args:
        path: Target file; missing parent folders are created.
        write: Function that writes the content to the open binary file it is given.

    Raises:
        UserError: If the folder cannot be written or the disk is full (the old file stays intact),
            or if the path is a folder or a device.
    """
    path = Path(path)
    temporary = None
    try:
        if path.exists() and not path.is_file():  # a rename would replace even /dev/null
            raise UserError(f"cannot write {path}: it is not a regular file; choose another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"
        )
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp creates private files; use the permissions that an ordinary open() would.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        cause = _system_error(error)
        if cause is None:
            raise
        raise UserError(
            f"cannot write {path}: {cause.strerror or cause}; "
            "free some space or choose another folder, then run again (the previous file is intact)"
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def remove_leftovers(folder: Path, older_than: float = 0.0) -> None:
    """Removes temporary files of a process that was killed while writing into the folder.

    Args:
        folder: Folder; it need not exist.
        older_than: Only files not written to for this long, in seconds: another process may be
            writing the others.
    """
    latest = time.time() - older_than
    for path in Path(folder).glob(".*.tmp"):
        with suppress(FileNotFoundError):  # its process has just finished it
            if path.is_file() and path.stat().st_mtime <= latest:
                path.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically (see `write_atomically`)."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def append_line(path: Path, line: str) -> None:
    """Appends a complete line of UTF-8 text, or nothing.

    Raises:
        UserError: If the line cannot be written; the file is then unchanged.
    """
    try:
        with Path(path).open("ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            text = (line + "\n").encode("utf-8")
            if file.write(text) != len(text):  # a disk that fills up accepts only a part
                file.truncate(before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another "
            "folder, then run again (the file is unchanged)"
        ) from error


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Writes strict JSON atomically; raises a ValueError for NaN and infinity."""
    text = json.dumps(value, indent=indent, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path, what: str, wanted: str = "") -> Any:
    """Reads a JSON file.

    Args:
        path: JSON file.
        what: What the file contains, for messages, such as "ground truth".
        wanted: Wanted format, and how to get it from another one, for the message about a file
            that is a pickle, an array or a table.

    Raises:
        UserError: If the file is missing, unreadable, not UTF-8 or not JSON, with the line and the
            column of the first error; or if an object has the same key twice, of which other
            readers keep the last value without a word.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{what} file {path} does not exist; check the path") from error
    except OSError as error:
        raise UserError(f"{what} file {path} cannot be read: {error.strerror}") from error
    try:
        with _no_garbage_collection():
            return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object)
    except _DuplicateKeyError as error:
        raise UserError(
            f"{what} file {path} has the key {shown(error.key)} {error.count} times in one object; "
            "which of the values counts is not defined, so remove or rename the others"
        ) from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        kind = kind_of(content, Path(path))
        if kind:
            needed = wanted or "wanted JSON"
            raise UserError(f"{what} file {path} is {kind}, not JSON; {needed}") from error
        if isinstance(error, UnicodeDecodeError):
            raise UserError(f"{what} file {path} is not UTF-8 text (byte {error.start})") from error
        raise UserError(
            f"{what} file {path} is not valid JSON: {error.msg} at line {error.lineno}, "
            f"column {error.colno}; the file may be truncated, copy it again"
        ) from error
    except ValueError as error:  # Python refuses to parse integers of thousands of digits
        raise UserError(
            f"{what} file {path} contains an integer with thousands of digits"
        ) from error
    except RecursionError as error:
        raise UserError(f"{what} file {path} is nested too deeply to be read as JSON") from error


class _DuplicateKeyError(ValueError):
    """An object of a JSON file has a key more than once."""

    def __init__(self, key: str, count: int) -> None:
        super().__init__(key)
        self.key = key
        self.count = count


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes a dict of the keys and values of a JSON object."""
    found = dict(pairs)
    if len(found) != len(pairs):
        key, count = Counter(key for key, _ in pairs).most_common(1)[0]
        raise _DuplicateKeyError(key, count)
    return found


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Pauses the search for reference cycles, which parsed JSON cannot have, to save time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _system_error(error: BaseException | None) -> OSError | None:
    """The system's error behind an exception; `torch.save` hides it behind a RuntimeError."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Makes the rename survive a power failure, where the system can open a folder."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
