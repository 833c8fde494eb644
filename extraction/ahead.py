"""Runs an iterator in a thread, some items ahead of its consumer."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")

POLL_SECONDS = 0.1  # how often a producer waiting for room looks whether it is still wanted


def ahead(items: Iterable[Item], size: int) -> Generator[Item, None, None]:
    """Yields the items, of which up to `size` are produced in advance in another thread.

    An exception of the producer is raised where the item would have been. If the consumer stops
    early, the producer ends after the item that it is working on, and is closed.

    Args:
        items: What to iterate over; only the thread touches it.
        size: Maximum number of items that wait for the consumer.
    """
    waiting: queue.Queue[tuple[Item | None, BaseException | None, bool]] = queue.Queue(size)
    unwanted = threading.Event()

    def put(item: Item | None, error: BaseException | None, last: bool) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put((item, error, last), timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put(item, None, False):
                    break
            else:
                put(None, None, True)
        except BaseException as error:  # raised again in the thread of the consumer
            put(None, error, True)
        finally:
            if isinstance(iterator, Generator):
                iterator.close()

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        while True:
            item, error, last = waiting.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]  # None only with an error or at the end
    finally:
        unwanted.set()
        thread.join()
