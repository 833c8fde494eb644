"""Recognizes the format of a prediction or annotation file by its content, not by its name."""

from enum import Enum
from pathlib import Path

from dataset.numbers import number_of
from utils.errors import UserError
from utils.file_kinds import kind_of

_HEAD = 65536  # bytes that decide
WANTED = "wanted ActivityNet JSON, CSV with a header, or the text of the THUMOS14 kit"


class Format(Enum):
    """Formats of predictions and annotations."""

    JSON = "ActivityNet JSON"  # also of files that are nothing known: its reader says what is wrong
    TABLE = "CSV"
    KIT_DETECTIONS = "detections of the THUMOS14 kit"
    KIT_INTERVALS = "annotations of one class of the THUMOS14 kit"
    FOLDER = "a folder"


def format_of(path: Path, what: str) -> Format:
    """The format of a file.

    Args:
        path: File or folder.
        what: What the file contains, for messages: "prediction" or "annotation".

    Raises:
        UserError: If it is a pickle, which is not read, because loading one can execute code.
    """
    path = Path(path)
    if path.is_dir():
        return Format.FOLDER
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return Format.JSON
    if kind_of(head, Path()) == "a pickle":
        raise UserError(pickle_text(path, what))
    if kind_of(head, Path()):
        return Format.JSON
    lines = head.decode("utf-8-sig", "replace").splitlines()
    line = next((line.strip() for line in lines if line.strip()), "")
    if line.startswith(("{", "[")):
        return Format.JSON
    words = line.split()
    if len(words) == 5 and all(number_of(words[i]) is not None for i in (1, 2, 4)):
        return Format.KIT_DETECTIONS
    if len(words) == 3 and all(number_of(word) is not None for word in words[1:]):
        return Format.KIT_INTERVALS
    return Format.TABLE if any(sign in line for sign in ",;\t") else Format.JSON


def pickle_text(path: Path, what: str) -> str:
    """The message about a pickle, with the two lines that convert it."""
    table = str(Path(path).with_suffix(".csv"))
    return (
        f"{what} file {path} is a pickle, which is not read because loading one can execute code; "
        f"if you trust it, convert it: import pandas; pandas.read_pickle({str(path)!r})"
        f".to_csv({table!r})"
    )


def read_text(path: Path, what: str) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Raises:
        UserError: If it cannot be read or is not UTF-8.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{what} file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{what} file {path} is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from error
