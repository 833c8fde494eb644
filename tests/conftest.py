"""Fixtures that find the numbers of the released code and the real data, or skip and say so."""

import os
from pathlib import Path

import pytest


def _folder(variable: str, what: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: it names the folder with {what}")
    folder = Path(value)
    if not folder.is_dir():
        pytest.fail(f"{variable}={value} is not a folder")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder with the values that the released code computed on fixed inputs."""
    return _folder("FTCL_GOLDEN", "the values of the released code")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real annotations, predictions and features."""
    return _folder("FTCL_DATA", "real annotations, predictions and features")
