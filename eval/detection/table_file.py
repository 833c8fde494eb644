"""Tables of segments as text (CSV) with a header, separated by commas, semicolons or tabs."""

import csv
import io
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from eval.detection.columns import SPELLINGS, columns_note, find_columns, require_columns
from utils.errors import UserError, shown

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
HEADER = "video-id,t-start,t-end,label,score"
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+(e[+-]?\d+)?\s*", re.IGNORECASE)
_NUMBERS = ("start", "end", "score", "duration")


class Table(NamedTuple):
    """The columns of a table by field, as text.

    Attributes:
        columns: Values of each field (see `eval.detection.columns`), one per row.
        lines: Number of the line of each row, from 1.
        note: The separator and columns that were recognized.
    """

    columns: dict[str, list[str]]
    lines: list[int]
    note: str


def read_table(
    text: str, where: str, wanted: Sequence[str], optional: Collection[str] = ()
) -> Table:
    """Reads a table with a header; other columns, blank lines and the order of columns do not
    matter.

    Numbers may have a decimal comma where the comma does not separate columns.

    Args:
        text: Content of the file.
        where: The file, for messages.
        wanted: Fields that must have a column.
        optional: Fields that may have one.

    Raises:
        UserError: If the header is missing or lacks a column, or a row has another number of
            values than the header.
    """
    delimiter = _delimiter(text, where)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    names: list[str] = []
    used: dict[str, int] = {}
    rows, lines = [], []
    try:
        for row in reader:
            if not any(map(str.strip, row)):
                continue
            if not names:
                names = [name.strip() for name in row]
                used = require_columns(names, where, wanted, optional)
                continue
            if len(row) != len(names):
                raise UserError(
                    f"{where}, line {reader.line_num}: {len(row)} values, but the header has "
                    f"{len(names)} columns; a value that contains the separator must be in quotes"
                )
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise UserError(
            f"{where}, line {reader.line_num}: {error}; the file may be truncated, copy it again"
        ) from error
    columns = {field: [row[place].strip() for row in rows] for field, place in used.items()}
    if delimiter != ",":
        for field in columns.keys() & set(_NUMBERS):
            columns[field] = list(map(_decimal_point, columns[field]))
    note = f"CSV ({DELIMITERS[delimiter]}), {columns_note(names, used)}"
    return Table(columns, lines, note)


def table_text(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table as comma-separated text; floats have enough digits to restore the same float64."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _delimiter(text: str, where: str) -> str:
    """The separator with which the header has most of the usual columns."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    known = {sign: len(find_columns(_split(header, sign), SPELLINGS)) for sign in DELIMITERS}
    best = max(known, key=lambda sign: known[sign])
    if not known[best]:
        raise UserError(
            f"{where} is a table whose first line has none of the usual column names; wanted a "
            f"header such as {HEADER}, found {shown(header)}"
        )
    return best


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])


def _decimal_point(value: str) -> str:
    return value.replace(",", ".") if _DECIMAL_COMMA.fullmatch(value) else value
