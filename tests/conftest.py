"""Fixtures: the golden values of the official implementation, and real data where there are any."""

import os
from pathlib import Path

import pytest
import torch


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test of the GPU on a machine without one."""
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of the values that the official implementation computed on fixed inputs."""
    return Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real annotations, predictions and features, named by FTCL_DATA; else a skip."""
    value = os.environ.get("FTCL_DATA")
    if not value:
        pytest.skip("FTCL_DATA is not set to a folder of real annotations and predictions")
    folder = Path(value)
    if not folder.is_dir():
        pytest.fail(f"FTCL_DATA={value} is not a folder")
    return folder
