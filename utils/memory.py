"""Memory: how much this process may still use, and keeping freed memory for reuse."""

import ctypes
import os
from pathlib import Path

UNKNOWN = 8 * 2**30  # bytes, assumed where the system does not report its memory
TRIM_THRESHOLD, MMAP_MAX = -1, -4  # parameters of mallopt in glibc


def free_memory() -> int:
    """Bytes of memory this process may still use.

    On Linux this is the available memory or the limit of the job or container, whichever is less;
    elsewhere it is the total memory of the machine.
    """
    return min([_free_of_machine(), *_limits()])


def keep_freed_memory() -> bool:
    """Makes the C library keep freed memory for later allocations until the process ends.

    By default it returns large blocks to the system at once and requests new ones, which the system
    must fill with zeros first: on a virtual machine this was a third of the time of a training
    step. Memory use settles after some steps, at a peak up to 1.4 times as high.

    Returns:
        Whether the C library supports this; glibc (Linux) does.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return bool(mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, -1))


def _free_of_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
        return found[0] * 1024 if found else UNKNOWN
    except OSError:  # not Linux
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not a Unix
        return UNKNOWN


def _limits() -> list[int]:
    """Memory limits in bytes of this process's control groups, versions 1 and 2."""
    try:
        groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return []
    limits = []
    for _, controllers, group in groups:
        if controllers in ("", "memory"):
            file = "memory.limit_in_bytes" if controllers else "memory.max"
            folder = Path("/sys/fs/cgroup", controllers, group.lstrip("/"))
            # Inside a container the group may be mounted at the root, whatever its path says.
            for path in (folder, *folder.parents[:-3]):
                text = (path / file).read_text().strip() if (path / file).is_file() else "max"
                limits += [int(text)] if text.isdigit() else []
    return limits
