"""A lock on the directory of a running run, so that no second run writes into it.

The lock file names the process, its host and when it started, and is removed at the end.

* Where the file system has locks (`flock`; on NFS they hold between hosts), the system holds the
  lock for the process: it is released as soon as the process ends, even by SIGKILL or a power
  failure. A file that such a process leaves behind is ignored on the same host.
* A file of another host that is not locked was left behind, or that host does not share its locks
  with this one (NFS mounted with `nolock` or `local_lock`). The running process touches the file
  every few seconds, so this is decided by watching it for a while; the clocks of the hosts do not
  matter. A run that is suspended for longer is considered dead.
* Where there are no locks (Windows, some network file systems), the same decides for all files.
  Two runs that start in the same moment are then not told apart.
"""

import json
import os
import platform
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from utils.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = "run.lock"
TOUCHED_EVERY = 5.0  # seconds
WATCHED_FOR = 20.0  # seconds without a touch after which a run is taken for dead


@contextmanager
def locked(run_dirs: Iterable[Path]) -> Iterator[None]:
    """Context in which this process alone writes into the run directories.

    Directories that do not exist yet are made, and removed at the end if nothing was written.

    Raises:
        UserError: If a run is running in one of them, naming process, host and start; if a
            directory cannot be written.
    """
    with ExitStack() as stack:
        for run_dir in run_dirs:
            stack.enter_context(_made(run_dir))
            stack.enter_context(_locked(run_dir))
        yield


def refuse_if_running(run_dirs: Iterable[Path]) -> None:
    """Raises the error of `locked` already before there is anything to write.

    Raises:
        UserError: If a run is running in one of the directories.
    """
    with locked(run_dir for run_dir in run_dirs if (run_dir / LOCK_FILE).exists()):
        pass


@contextmanager
def _made(run_dir: Path) -> Iterator[None]:
    missing = [folder for folder in (run_dir, *run_dir.parents) if not folder.exists()]
    with _written(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for folder in missing:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


@contextmanager
def _locked(run_dir: Path) -> Iterator[None]:
    path = run_dir / LOCK_FILE
    handle = _open(path)
    ended = threading.Event()
    try:
        with _written(path):
            os.ftruncate(handle, 0)
            owner = {"process": os.getpid(), "host": platform.node(), "started": _now()}
            os.write(handle, json.dumps(owner).encode())
        touching = threading.Thread(target=_touch, args=(path, ended), daemon=True)
        touching.start()
        yield
    finally:
        ended.set()
        with suppress(OSError):
            os.ftruncate(handle, 0)  # for systems that cannot remove an open file
            path.unlink()
        os.close(handle)


def _open(path: Path) -> int:
    """Opens and locks the lock file; raises a UserError if another process holds it."""
    while True:
        with _written(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            has_locks = _try_lock(handle, path)
            if not _is_current(handle, path):  # the process before has removed it just now
                os.close(handle)
                continue
            owner = _owner(path)
            of_other_host = bool(owner) and owner.get("host") != platform.node()
            if owner and (of_other_host or not has_locks) and _is_touched(path, owner):
                raise _in_use(path, owner)
        except FileNotFoundError:  # removed while it was watched
            os.close(handle)
            continue
        except BaseException:
            os.close(handle)
            raise
        return handle


def _try_lock(handle: int, path: Path) -> bool:
    """Locks the file; False if there are no locks, a UserError if another process holds it."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _in_use(path, _owner(path)) from None
    except OSError:  # such as ENOLCK
        return False
    return True


def _is_current(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _owner(path: Path) -> dict[str, Any]:
    """The process that wrote the file; {} if none did."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _is_touched(path: Path, owner: dict[str, Any]) -> bool:
    """Watches whether the process that wrote the file still touches it."""
    print(
        f"{path.parent} has the lock of {_name(owner)}; waiting up to {WATCHED_FOR:g} s to see "
        "whether it is still running"
    )
    state, end = _touched_at(path), time.monotonic() + WATCHED_FOR
    while time.monotonic() < end:
        time.sleep(min(1.0, WATCHED_FOR / 10))
        if _touched_at(path) != state:
            return True
    return False


def _touched_at(path: Path) -> int:
    """Modification time; opens the file, for which NFS asks the server again."""
    with open(path, "rb") as file:
        return os.fstat(file.fileno()).st_mtime_ns


def _touch(path: Path, ended: threading.Event) -> None:
    while not ended.wait(TOUCHED_EVERY):
        with suppress(OSError):
            os.utime(path)


def _in_use(path: Path, owner: dict[str, Any]) -> UserError:
    return UserError(
        f"another run is using {path.parent}: {_name(owner)}, since "
        f"{owner.get('started', 'an unknown time')}; wait until it has finished, or stop it and "
        "continue it with --resume, or give this run another --group, --model_name or --save_dir"
    )


def _name(owner: dict[str, Any]) -> str:
    return f"process {owner.get('process', '?')} on host {owner.get('host', '?')}"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z")


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Context that reports an error of the system as `utils.files` does."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; free some space or choose another folder, "
            "then run again"
        ) from error
