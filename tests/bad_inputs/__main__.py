"""Tries every bad input and prints docs/ERRORS.md."""

import tempfile
from pathlib import Path

from tests.bad_inputs.page import CASES, general, page_of
from tests.bad_inputs.run import make_good, message_of

with tempfile.TemporaryDirectory() as name:
    root = Path(name)
    (root / "good").mkdir()
    make_good(root / "good")
    cells = {
        place: general(message_of(case, root / "good", root / str(number)))
        for number, (place, case) in enumerate(CASES.items())
    }
print(page_of(cells), end="")
