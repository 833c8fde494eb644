"""Delays signals such as Ctrl-C until they do no harm."""

import signal
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
