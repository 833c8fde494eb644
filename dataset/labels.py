"""Class names in annotation and prediction files: other spellings, numbers, ignored labels."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.numbers import index_of
from dataset.text_files import read_lines
from dataset.video_names import composed, is_text
from utils.errors import UserError, shown
from utils.files import read_json

SIMILAR = "similar"  # the value of --label_aliases that makes similar labels equal
_NOT_SIGNIFICANT = re.compile(r"[\s_-]+")
_INDEXED_LINE = re.compile(r"(\d+)\s+(\S.*)")


class LabelReader:
    """Turns the labels of files into class names; one object reads all files of an evaluation.

    Args:
        aliases: Class names by other spellings.
        similar: Whether labels that differ only in case, spaces, underscores or hyphens are the
            same class, spelled as in `classes` or else as it was read first.
        class_names: Class names by the numbers that files may have in their place.
        ignored: Labels whose annotations are left out.
        classes: Known class names, if any.
    """

    def __init__(
        self,
        *,
        aliases: Mapping[str, str] | None = None,
        similar: bool = False,
        class_names: Mapping[int, str] | None = None,
        ignored: Iterable[str] = (),
        classes: Iterable[str] = (),
    ) -> None:
        self.aliases = {composed(a): composed(b) for a, b in (aliases or {}).items()}
        self.similar = similar
        self.class_names = dict(class_names or {})
        self.ignored = frozenset(map(composed, ignored))
        self.spelled: dict[str, str] = {}  # significant letters -> class name, with `similar`
        self.read: dict[str, str] = {}  # string in a file -> class name
        for name in classes:
            self(name)

    def __call__(self, value: Any) -> str:
        """The class name of the label of a file.

        Raises:
            ValueError: If the label is not a name, nor a number that has one, saying so.
        """
        if isinstance(value, str):
            name = self.read.get(value)
            if name is None:
                name = self.read[value] = self._name(value)
            return name
        return self._name(self._numbered(value))

    def _name(self, text: str) -> str:
        if not text or not is_text(text):
            raise ValueError(f"label {shown(text)} is not a class name")
        if self.class_names and text.isdecimal() and text not in self.class_names.values():
            text = self._numbered(text)
        name = composed(text)
        name = self.aliases.get(name, name)
        return self.spelled.setdefault(significant(name), name) if self.similar else name

    def _numbered(self, value: Any) -> str:
        index = index_of(value)
        if index is None:
            raise ValueError(f"label {shown(value)} is not a class name")
        if not self.class_names:
            raise ValueError(
                f"label {shown(value)} is not a class name; --class_names FILE names the classes "
                "of numbers, one per line"
            )
        if index not in self.class_names:
            first, last = min(self.class_names), max(self.class_names)
            raise ValueError(f"label {index} is not in --class_names, which has {first} to {last}")
        return self.class_names[index]


def make_label_reader(
    aliases: Sequence[str] = (),
    class_names: str = "",
    ignored: Iterable[str] = (),
    classes: Iterable[str] = (),
) -> LabelReader:
    """Makes a `LabelReader` from the values of flags.

    Args:
        aliases: Values of `--label_aliases`: pairs OTHER=CLASS, JSON files {other: class}, and
            `similar`.
        class_names: Value of `--class_names`, a file with one class name per line.
        ignored: Values of `--ignore_labels`.
        classes: Known class names, if any.

    Raises:
        UserError: If a value has another form or a file cannot be read.
    """
    pairs: dict[str, str] = {}
    for word in aliases:
        other, equals, name = word.partition("=")
        if word.endswith(".json"):
            pairs |= _alias_file(Path(word))
        elif equals and other and name:
            pairs[other] = name
        elif word != SIMILAR:
            raise UserError(
                f"--label_aliases {shown(word)}: wanted pairs such as cliff_diving=CliffDiving, a "
                f".json file with {{other label: class}}, or the word {SIMILAR} (labels that "
                "differ only in case, spaces, underscores or hyphens are the same class)"
            )
    return LabelReader(
        aliases=pairs,
        similar=SIMILAR in aliases,
        class_names=read_class_names(Path(class_names)) if class_names else None,
        ignored=ignored,
        classes=classes,
    )


def read_class_names(path: Path) -> dict[int, str]:
    """Reads a list of class names: one per line in index order from 0, or all as `INDEX NAME`.

    Raises:
        UserError: If the file cannot be read, has no name, or has an index or a name twice.
    """
    lines = [line for _, line in read_lines(path, "class name", "one class name per line")]
    numbered = [match for line in lines if (match := _INDEXED_LINE.fullmatch(line))]
    if lines and len(numbered) == len(lines):
        pairs = [(int(match[1]), composed(match[2])) for match in numbered]
    else:
        pairs = [(index, composed(line)) for index, line in enumerate(lines)]
    names = dict(pairs)
    if not names:
        raise UserError(f"class name file {path} has no name; wanted one class name per line")
    for found, what in ((len(names), "an index"), (len(set(names.values())), "a class name")):
        if found < len(pairs):
            raise UserError(f"class name file {path} has {what} twice; remove one of the lines")
    return names


def significant(label: str) -> str:
    """The letters of a label by which `similar` compares it."""
    return _NOT_SIGNIFICANT.sub("", label).casefold()


def similar_labels(labels: Iterable[str], known: Collection[str]) -> list[tuple[str, str]]:
    """Labels that are not known, each with the known one that is spelled nearly the same."""
    spelled = {significant(name): name for name in known}
    exact = set(known)
    return [
        (label, spelled[significant(label)])
        for label in labels
        if label not in exact and significant(label) in spelled
    ]


def similar_text(pairs: Sequence[tuple[str, str]], where: str, known: str) -> str:
    """The message about `similar_labels`: the first pair, and which flag makes it one class.

    Args:
        pairs: Result of `similar_labels`.
        where: Source of the labels, such as "the predictions".
        known: Source of the known ones, such as "the annotations".
    """
    label, name = pairs[0]
    more = f" ({len(pairs)} such pairs)" if len(pairs) > 1 else ""
    return (
        f"label {shown(label)} of {where} and {shown(name)} of {known} differ only in case, "
        f"spaces, underscores or hyphens{more}; --label_aliases {SIMILAR} makes such labels the "
        f'same class, --label_aliases "{label}={name}" only these two'
    )


def _alias_file(path: Path) -> dict[str, str]:
    content = read_json(path, "label alias")
    if not isinstance(content, dict) or not all(isinstance(v, str) and v for v in content.values()):
        raise UserError(f"label alias file {path}: wanted an object {{other label: class}}")
    return content
