"""Handles signals such as Ctrl-C where an exception at any moment would do harm."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Ctrl-C, and the signal with which schedulers and torchrun end a process.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts_wait(act: bool = True) -> Iterator[None]:
    """Delays SIGINT and SIGTERM until the end of the block, where each takes effect once.

    Signals that the program does not handle in Python are left alone. If the block raises, the
    exception propagates instead. Outside the main thread, which alone receives signals, this does
    nothing.

    Args:
        act: Whether delayed signals take effect at all; False where the program ends anyway.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    handled = {number: handler for number, handler in handlers.items() if callable(handler)}
    waiting: list[int] = []
    for number in handled:
        signal.signal(number, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
    for delayed in dict.fromkeys(waiting if act else ()):
        signal.raise_signal(delayed)


@contextmanager
def interrupts_exit(program: str) -> Iterator[None]:
    """Lets Ctrl-C inside the block end the process at once, with a message and status 130.

    For imports of large libraries: a KeyboardInterrupt in the middle of the initialization of a C++
    extension would abort the process. Nothing is cleaned up, so the block must have no other
    effects.

    Args:
        program: Name of the program in the message.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def end(number: int, frame: object) -> None:
        sys.stderr.write(f"\n{program}: interrupted\n")
        sys.stderr.flush()
        os._exit(130)

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
