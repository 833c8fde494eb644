"""Remembers which feature files were checked, by their size and modification time.

Ten thousand files of ActivityNet take minutes to check for values that are not finite; a file that
has not changed need not be checked again. The cache is one file in the data directory; without
permission to write there, every start checks everything.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataset.features.files import PLAIN, FeatureFile, SnippetFile, file_state
from utils.errors import UserError
from utils.files import write_json

NAME = ".checked_features.json"
VERSION = 1


class CheckCache:
    """Headers of feature files, and hashes of the splits whose values were checked.

    Args:
        folder: Data directory.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.headers: dict[str, list[Any]] = {}
        self.digests: dict[str, str] = {}
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["version"] == VERSION:
                self.headers, self.digests = dict(content["files"]), dict(content["splits"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing was checked yet, or the file is damaged: check everything
        self.changed = False

    def header(self, name: str, path: Path) -> FeatureFile | None:
        """The header of a feature file, if the file has not changed since it was read."""
        stored = self.headers.get(str(path))
        if stored is None:
            return None
        try:
            size, modified, shape, dtype, offset, order = stored
            if file_state(path) != (size, modified):
                return None
            state = (size, modified)
            return FeatureFile(name, path, tuple(shape), np.dtype(dtype), offset, order, state)
        except (OSError, ValueError, TypeError, IndexError):
            return None

    def add_header(self, file: FeatureFile) -> None:
        """Remembers the header of a feature file."""
        header = [*file.state, list(file.stored), file.dtype.str, file.offset, file.order]
        if self.headers.get(str(file.path)) != header:
            self.headers[str(file.path)] = header
            self.changed = True

    def digest(self, files: Sequence[SnippetFile]) -> str | None:
        """The hash of the features of these files, if all their values have been checked."""
        return self.digests.get(_key(files))

    def add_digest(self, files: Sequence[SnippetFile], digest: str) -> None:
        """Remembers that all values of these files are finite, and their hash."""
        self.digests[_key(files)] = digest
        self.changed = True

    def save(self) -> None:
        """Writes what is new; a data directory that cannot be written is no error."""
        if not self.changed:
            return
        try:
            content = {"version": VERSION, "files": self.headers, "splits": self.digests}
            write_json(self.path, content)
            self.changed = False
        except UserError:
            pass


def _key(files: Sequence[SnippetFile]) -> str:
    """Identifies a list of files in their present state."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {file.path} {file.state} {file.shape}{_form(file)}\n".encode())
    return digest.hexdigest()


def _form(file: SnippetFile) -> str:
    """How the file is read, if not as it is."""
    form = getattr(file, "form", None)
    return "" if form is None or form == PLAIN else f" {form}"
