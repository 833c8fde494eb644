"""Signals at a moment when they do no harm."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and how schedulers and torchrun end a process


@contextmanager
def interrupts_wait(act: bool = True) -> Iterator[None]:
    """Ctrl-C inside the block, however often, takes effect once, when the block is done.

    So does the wish that the process end, if the program listens to it. A block that ends in an
    error lets the error through instead. Outside the main thread, which alone hears of signals,
    this does nothing.

    Args:
        act: whether they take effect at all; not where everything ends anyway.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    heard = {number: handler for number, handler in handlers.items() if callable(handler)}
    waiting: list[int] = []
    for number in heard:
        signal.signal(number, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)
    for late in dict.fromkeys(waiting if act else ()):
        signal.raise_signal(late)
