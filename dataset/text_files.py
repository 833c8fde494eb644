"""Text files with one name per line: split files, lists of videos, class names."""

from pathlib import Path

from dataset.video_names import composed, is_plain_name
from utils.errors import Problems, UserError, shown
from utils.file_kinds import kind_of


def read_lines(path: Path, what: str, wanted: str) -> list[tuple[int, str]]:
    """Reads the lines of a UTF-8 text file that are not blank, without surrounding spaces.

    Args:
        path: Text file, with any line ends, with or without a byte order mark.
        what: What the file contains, for messages, such as "split".
        wanted: Wanted content, for messages.

    Returns:
        Number, from 1, and text of each line.

    Raises:
        UserError: If the file cannot be read or is not UTF-8 text.
    """
    try:
        content = Path(path).read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(
            f"{what} file {path} does not exist; wanted a text file with {wanted}"
        ) from error
    except OSError as error:
        raise UserError(f"{what} file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        kind = kind_of(content, Path(path)) or "not UTF-8 text"
        raise UserError(
            f"{what} file {path} is {kind} (byte {error.start}); wanted a text file with {wanted}"
        ) from error
    return [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]


def read_split(path: Path, what: str = "split") -> list[str]:
    """Reads a split file or a list of videos: one video name per line.

    Args:
        path: File; blank lines and Windows line ends are accepted.
        what: What the file is, for messages.

    Returns:
        The video names in composed Unicode, in the order of the file.

    Raises:
        UserError: If the file cannot be read or names no video; or with a list of all duplicate
            names and names that are not plain file names (a path could leave the data directory).
    """
    problems = Problems()
    first_line: dict[str, int] = {}
    for number, line in read_lines(path, what, "one video name per line"):
        name = composed(line)
        if not is_plain_name(name):
            problems.add(
                f"line {number}: {shown(name)} is not a plain video name (no folders, no '..')"
            )
        elif name in first_line:
            problems.add(f"line {number}: {name} is already on line {first_line[name]}; remove one")
        else:
            first_line[name] = number
    problems.raise_if_any(f"{what} file {path}")
    if not first_line:
        raise UserError(f"{what} file {path} names no video; write one video name per line")
    return list(first_line)
