"""The processes of one run, as torchrun starts them: a share of every batch each, one writer.

With one process nothing here does anything, and torch.distributed is not started.
"""

import atexit
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from utils.errors import UserError

T = TypeVar("T")

LONGEST_WAIT = timedelta(minutes=30)  # for the others, which may be reading or evaluating
PATIENCE = timedelta(seconds=20)  # of a process with an error, for the others to hear of it


class EndOfRun(UserError):
    """An error that all processes know of."""


class LostContact(EndOfRun):
    """The others can no longer be told of an error, or do not answer."""


@dataclass(frozen=True)
class Processes:
    """This process among those of the run. Every method is called by all of them, in one order.

    Attributes:
        rank: of this process, from 0.
        world_size: processes on all nodes.
        local_rank: of this process on its node, where the first one is `rank - local_rank`.
        groups: holds the group in which objects are exchanged, apart from the tensors of the
            steps; empty once the run has ended.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    groups: list[dist.ProcessGroup] = field(default_factory=list, compare=False)

    def __str__(self) -> str:
        return f"{self.world_size} processes" if self.world_size > 1 else "1 process"

    @property
    def is_main(self) -> bool:
        """Whether this is the process that prints, evaluates and writes."""
        return self.rank == 0

    @property
    def objects(self) -> dist.ProcessGroup | None:
        """The group in which objects are exchanged; None stands for all processes."""
        return self.groups[0] if self.groups else None

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its sum over all processes; on CUDA the host does not wait."""
        if self.world_size > 1:
            with self._contact():
                for work in [dist.all_reduce(tensor, async_op=True) for tensor in tensors]:
                    work.wait()

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Overwrites each tensor with that of the main process."""
        if self.world_size > 1:
            with self._contact():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)

    def gather(self, value: T) -> list[T]:
        """In the main process the values of all in the order of the ranks, in the others []."""
        if self.world_size == 1:
            return [value]
        values: list[Any] | None = [None] * self.world_size if self.is_main else None
        with self._contact():
            dist.gather_object(value, values, group=self.objects)
        return values or []

    def broadcast_object(self, make: Callable[[], T]) -> T:
        """What `make` gives in the main process; it is not called in the others."""
        if self.world_size == 1:
            return make()
        values: list[Any] = [make() if self.is_main else None]
        self.barrier()
        with self._contact():
            dist.broadcast_object_list(values, 0, group=self.objects)
        return values[0]

    def once_per_node(self, make: Callable[[], T]) -> T:
        """What `make` gives in the first process of each node; the others map its tensors.

        The value goes through a file without a name, so that nothing is left of it, even of a
        process that is killed. Systems without /proc have no such thing: there each process makes
        its own.
        """
        if self.world_size == 1 or not Path("/proc/self/fd").is_dir():
            return make()
        with ExitStack() as stack:
            path = _shared_copy(make(), stack) if self.local_rank == 0 else ""
            path = self._exchange(value=path)[self.rank - self.local_rank]
            # Not weights_only: the content is this program's own, and written just now.
            value = torch.load(path, mmap=True, weights_only=False)
            self.barrier()  # now all have opened it
        return value

    def barrier(self) -> None:
        """Waits for all processes; raises in all of them if one has met a `UserError`."""
        if self.world_size > 1:
            self._exchange()

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block that all processes leave with an error if one of them meets a `UserError`.

        The others learn of it in their next `barrier`. Only the main process then raises the error
        and so prints it; the others end without a word. If they do not come to one, because the
        error was met inside a step, the process that has it raises it and they lose contact.
        """
        try:
            yield
        except EndOfRun:
            raise
        except UserError as error:
            if self.world_size == 1:
                raise
            self._exchange(str(error) or type(error).__name__)
        self.barrier()

    def _exchange(self, problem: str = "", value: Any = None) -> list[Any]:
        """The values of all processes, unless one of them has a problem."""
        found: list[Any] = [None] * self.world_size
        try:
            with self._contact():
                here = dist.barrier(self.objects, async_op=True)
                here.wait(PATIENCE if problem else LONGEST_WAIT)
                del here  # or the traceback of an error would keep it
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
            raise EndOfRun(problems[0]) if self.is_main else SystemExit(2)
        return [value for _, value in found]

    @contextmanager
    def _contact(self) -> Iterator[None]:
        """Turns what torch says when a process is gone into a message."""
        try:
            yield
        except RuntimeError as error:
            reason = str(error).split(". ")[0][:200]
            self._end(f"has lost the others, one of which must have ended ({reason})")

    def _leave(self) -> None:
        """Ends the groups. Their threads end with the last reference; one that is still putting its
        work away when Python ends would abort the process."""
        dist.destroy_process_group()
        self.groups.clear()

    def _end(self, what: str) -> NoReturn:
        _ignore_sigterm()
        raise LostContact(
            f"process {self.rank} of {self.world_size} {what}; what is printed above, or by torchrun "
            "below, says why. The last checkpoint is intact: a training goes on from there with "
            "the same command and --resume"
        )


ALONE = Processes()


@contextmanager
def all_processes() -> Iterator[Processes]:
    """Meets the other processes of the run, if torchrun has started several.

    Only the main process prints, but for errors that are its own: in the others standard output
    and error go nowhere inside the block.

    Raises:
        UserError: if the others cannot be reached, or one of them meets an error or ends.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        # As Ctrl-C: schedulers end a process so, and it is to save what it has.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            yield ALONE
        finally:
            signal.signal(signal.SIGTERM, before)
        return
    if not {"RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        raise UserError(
            f"WORLD_SIZE is {count}, but RANK, LOCAL_RANK, MASTER_ADDR or MASTER_PORT is not set; "
            "start several processes with torchrun (docs/DISTRIBUTED.md), one without WORLD_SIZE"
        )
    processes = Processes(int(os.environ["RANK"]), count, int(os.environ["LOCAL_RANK"]))
    signal.signal(signal.SIGTERM, lambda *_: processes._end("was told to end (SIGTERM)"))
    with ExitStack() as stack:
        if not processes.is_main:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
        with processes._contact():
            dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
            processes.groups.append(dist.new_group(backend="gloo", timeout=LONGEST_WAIT))
        try:
            with processes.together():
                yield processes
        except LostContact:
            # On its way out torch would wait for the others, who do not come.
            atexit.register(os._exit, 2)
            raise
        except BaseException:
            processes._leave()
            raise
        processes._leave()


def _ignore_sigterm() -> None:
    """For a process about to end: torchrun's wish that it end must not keep it from saving."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _shared_copy(value: object, stack: ExitStack) -> str:
    """Path of a copy of the value in memory, or on disk if there is no room; closed by the stack.

    The file has no name in any folder but only this path, through the process that has it open.
    """
    for folder in ("/dev/shm", tempfile.gettempdir()):
        with suppress(OSError, RuntimeError), ExitStack() as attempt:
            file = attempt.enter_context(tempfile.TemporaryFile(dir=folder))
            torch.save(value, file)
            file.flush()
            stack.push(attempt.pop_all())
            return f"/proc/{os.getpid()}/fd/{file.fileno()}"
    raise UserError(
        f"neither /dev/shm nor {tempfile.gettempdir()} has room for the features, which the "
        "processes of a node share; make /dev/shm larger (docker run --shm-size) or set TMPDIR"
    )
