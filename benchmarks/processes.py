"""Worker processes of the benchmarks: fresh memory for every measurement, and rounds in turns."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any


def available_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Worker:
    """A process that does one round of work per request, so that two of them can alternate.

    Args:
        make: Called in the process as `make(*given)`; returns the function that does a round.
        given: Arguments of `make`; they are pickled.
    """

    def __init__(self, make: Callable[..., Callable[[], Any]], *given: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, make, given), daemon=True)
        self.process.start()

    def start_round(self) -> None:
        """Starts a round and returns at once."""
        self.pipe.send(True)

    def finish_round(self) -> Any:
        """Waits for the end of the round and returns its result."""
        return self.pipe.recv()

    def round(self) -> Any:
        """Does one round and returns its result."""
        self.start_round()
        return self.finish_round()

    def close(self) -> None:
        """Ends the process."""
        self.pipe.send(False)
        self.process.join()


def in_fresh_process(work: Callable[..., Any], *given: Any) -> Any:
    """Returns `work(*given)`, computed in a new process whose memory nothing else has used."""
    worker = Worker(_once, work, given)
    result = worker.round()
    worker.close()
    return result


def _once(work: Callable[..., Any], given: tuple[Any, ...]) -> Callable[[], Any]:
    return lambda: work(*given)


def _serve(pipe: Any, make: Callable[..., Callable[[], Any]], given: tuple[Any, ...]) -> None:
    work = make(*given)
    while pipe.recv():
        pipe.send(work())
