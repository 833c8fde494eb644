"""Full and read-only disks, for tests."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """Limits the size of every file in bytes: to the program, the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))  # Python ignores SIGXFSZ
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def small_disk(folder: str | Path, size: int) -> Iterator[None]:
    """Mounts a disk of `size` bytes on the folder; skips the test where this is not allowed."""
    with _mounted(Path(folder), ["-t", "tmpfs", "-o", f"size={size}", "tmpfs"]):
        yield


@contextmanager
def read_only(folder: str | Path) -> Iterator[None]:
    """Makes the folder read-only."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    if os.geteuid() == 0:  # root ignores permissions
        with _mounted(folder, ["--bind", "-o", "ro", str(folder)]):
            yield
        return
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)


@contextmanager
def _mounted(folder: Path, arguments: list[str]) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    try:
        found = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"mount is not available: {error}")
    if found.returncode:
        pytest.skip(f"mounting is not allowed here: {found.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
