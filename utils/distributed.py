"""The processes that torchrun starts, and their communication.

With one process every operation is trivial, and torch.distributed is not initialized.
"""

import atexit
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from utils.errors import UserError

T = TypeVar("T")

LONGEST_WAIT = timedelta(minutes=30)  # for other processes, which may be reading or evaluating
ERROR_WAIT = timedelta(seconds=20)  # for other processes to receive the error of this one


class SharedError(UserError):
    """An error that all processes have received."""


class LostContact(SharedError):
    """Other processes do not respond, so they cannot receive an error either."""


@dataclass(frozen=True)
class Processes:
    """This process and its communication with the others.

    All processes must call the communicating methods, in the same order.

    Attributes:
        rank: Rank of this process, from 0.
        world_size: Number of processes on all nodes.
        local_rank: Rank of this process on its node, whose first process has the rank
            `rank - local_rank`.
        groups: The process group in which objects are exchanged, separate from the tensors of the
            training steps; empty after the processes have disconnected.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    groups: list[dist.ProcessGroup] = field(default_factory=list, compare=False)

    def __str__(self) -> str:
        return f"{self.world_size} processes" if self.world_size > 1 else "1 process"

    @property
    def is_main(self) -> bool:
        """Whether this process prints, evaluates and writes files."""
        return self.rank == 0

    @property
    def objects(self) -> dist.ProcessGroup | None:
        """The process group in which objects are exchanged; None is the default group."""
        return self.groups[0] if self.groups else None

    def data_parallel(self, net: nn.Module) -> nn.Module:
        """Wraps the network so that a backward pass averages the gradients over all processes.

        Its parameters become those of the main process. A single process trains the network itself.
        """
        if self.world_size == 1:
            return net
        with self.contact():
            return DistributedDataParallel(net, gradient_as_bucket_view=True)

    def all_reduce(self, tensor: Tensor) -> None:
        """Replaces the tensor by its sum over all processes; does not block the host on CUDA."""
        if self.world_size > 1:
            with self.contact():
                dist.all_reduce(tensor)

    def gather(self, value: T) -> list[T]:
        """Returns the values of all processes by rank in the main process, [] in the others."""
        if self.world_size == 1:
            return [value]
        values: list[Any] | None = [None] * self.world_size if self.is_main else None
        with self.contact():
            dist.gather_object(value, values, group=self.objects)
        return values or []

    def broadcast_object(self, make: Callable[[], T]) -> T:
        """Returns in all processes the result of `make`, called in the main process only."""
        if self.world_size == 1:
            return make()
        values: list[Any] = [make() if self.is_main else None]
        self.barrier()
        with self.contact():
            dist.broadcast_object_list(values, 0, group=self.objects)
        return values[0]

    def once_per_node(self, make: Callable[[], T]) -> T:
        """Returns the result of `make`, called in the first process of each node only.

        The other processes of the node map its tensors into their memory. The value is passed
        through an unnamed file, so that nothing remains even if a process is killed. Systems
        without /proc do not support this; there each process calls `make`.
        """
        if self.world_size == 1 or not Path("/proc/self/fd").is_dir():
            return make()
        with ExitStack() as stack:
            path = _shared_copy(make(), stack) if self.local_rank == 0 else ""
            path = self._exchange(value=path)[self.rank - self.local_rank]
            # Not weights_only: the content was written by this program a moment ago.
            value = torch.load(path, mmap=True, weights_only=False)
            self.barrier()  # now all processes have opened the file
        return value

    def barrier(self) -> None:
        """Waits for all processes; raises in all of them if one has raised a `UserError`."""
        if self.world_size > 1:
            self._exchange()

    @contextmanager
    def fail_together(self) -> Iterator[None]:
        """Context that all processes leave with an error if one of them raises a `UserError`.

        The other processes receive the error in their next `barrier`. Only the main process then
        raises it, and so prints it; the others exit silently. If they do not reach a barrier,
        because the error was raised within a training step, the process that has the error raises
        it and the others lose contact.
        """
        try:
            yield
        except SharedError:
            raise
        except UserError as error:
            if self.world_size == 1:
                raise
            self._exchange(str(error) or type(error).__name__)
        self.barrier()

    def _exchange(self, problem: str = "", value: Any = None) -> list[Any]:
        """Returns the values of all processes, or raises if one of them reports a problem."""
        found: list[Any] = [None] * self.world_size
        try:
            with self.contact():
                here = dist.barrier(self.objects, async_op=True)
                here.wait(ERROR_WAIT if problem else LONGEST_WAIT)
                del here  # or the traceback of an error would keep a reference to it
                dist.all_gather_object(found, (problem, value), group=self.objects)
        except LostContact:
            if problem:
                raise LostContact(f"process {self.rank}: {problem}") from None
            raise
        problems = [
            f"process {i}: {text}" if i else text for i, (text, _) in enumerate(found) if text
        ]
        if problems:
            _ignore_sigterm()
            raise SharedError(problems[0]) if self.is_main else SystemExit(2)
        return [value for _, value in found]

    @contextmanager
    def contact(self, also_computes: bool = False) -> Iterator[None]:
        """Converts the errors that torch raises when a process is gone into a `LostContact`.

        Args:
            also_computes: Whether the block does more than communicate, as a backward pass does, so
                that an error may have another cause, such as memory, and is only converted if it
                is about communication.
        """
        if self.world_size == 1:
            yield
            return
        try:
            yield
        except RuntimeError as error:
            if also_computes and not _is_about_communication(error):
                raise
            reason = str(error).split(". ")[0][:200]
            self._end(f"has lost contact with the others, one of which must have ended ({reason})")

    def _leave(self) -> None:
        """Destroys the process groups.

        Their threads end with the last reference; a thread still running when Python exits would
        abort the process.
        """
        dist.destroy_process_group()
        self.groups.clear()

    def _end(self, what: str) -> NoReturn:
        _ignore_sigterm()
        raise LostContact(
            f"process {self.rank} of {self.world_size} {what}; see the messages above, or those of "
            "torchrun below, for the cause. The last checkpoint is intact: resume a training run "
            "with the same command and --resume"
        )


ALONE = Processes()


@contextmanager
def all_processes() -> Iterator[Processes]:
    """Connects to the other processes, if torchrun has started several.

    Only the main process prints: in the others, standard output and standard error are discarded
    inside the block. An error that only one process has is printed by that process.

    Raises:
        UserError: If the others cannot be reached, or if one of them raises an error or ends.
    """
    world_size = _environment_number("WORLD_SIZE", "1")
    if world_size == 1:
        # Schedulers end a process with SIGTERM; as after Ctrl-C, it must save its state first.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            yield ALONE
        finally:
            signal.signal(signal.SIGTERM, before)
        return
    if not {"RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        raise UserError(
            f"WORLD_SIZE is {world_size}, but RANK, LOCAL_RANK, MASTER_ADDR or MASTER_PORT is not "
            "set; start several processes with torchrun (docs/DISTRIBUTED.md), or unset WORLD_SIZE "
            "to run a single process"
        )
    processes = Processes(
        _environment_number("RANK"), world_size, _environment_number("LOCAL_RANK")
    )
    signal.signal(signal.SIGTERM, lambda *_: processes._end("was asked to end (SIGTERM)"))
    with ExitStack() as stack:
        if not processes.is_main:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
        with processes.contact():
            dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
            processes.groups.append(dist.new_group(backend="gloo", timeout=LONGEST_WAIT))
        try:
            with processes.fail_together():
                yield processes
        except LostContact:
            # At exit torch would wait for the other processes, which do not respond.
            atexit.register(os._exit, 2)
            raise
        except BaseException:
            processes._leave()
            raise
        processes._leave()


def _is_about_communication(error: RuntimeError) -> bool:
    """Whether an error comes from the exchange of tensors; Gloo raises plain RuntimeErrors."""
    words = ("gloo", "nccl", "connection", "socket", "peer", "timed out")
    return isinstance(error, dist.DistError) or any(word in str(error).lower() for word in words)


def _environment_number(name: str, default: str = "") -> int:
    """The number that torchrun sets in an environment variable."""
    text = os.environ.get(name, default)
    try:
        return int(text)
    except ValueError as error:
        raise UserError(
            f"the environment variable {name} is {text!r}, wanted a number; start several "
            "processes with torchrun (docs/DISTRIBUTED.md), or unset WORLD_SIZE"
        ) from error


def _ignore_sigterm() -> None:
    """For a process about to end: a SIGTERM from torchrun must not prevent it from saving."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _shared_copy(value: object, stack: ExitStack) -> str:
    """Path of a copy of the value in shared memory, or on disk if that is full.

    The file has no name in any folder; the path refers to the descriptor of this process. The stack
    closes it.
    """
    for folder in ("/dev/shm", tempfile.gettempdir()):
        with suppress(OSError, RuntimeError), ExitStack() as attempt:
            file = attempt.enter_context(tempfile.TemporaryFile(dir=folder))
            torch.save(value, file)
            file.flush()
            stack.push(attempt.pop_all())
            return f"/proc/{os.getpid()}/fd/{file.fileno()}"
    raise UserError(
        f"neither /dev/shm nor {tempfile.gettempdir()} has room for the data that the processes "
        "of a node share; make /dev/shm larger (docker run --shm-size) or set TMPDIR to a larger "
        "folder"
    )
