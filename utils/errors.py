"""The error type for problems the user can fix, and how programs report it."""

import io
import os
import reprlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import NoReturn, TextIO


class UserError(Exception):
    """A problem in the command, the data or the machine that the user can fix.

    The message says what is wrong and where, what was found, what was wanted and what to do next.
    Entry points print it as it is, without a traceback, and exit with status 2.
    """


class Problems:
    """Collects all problems found by a check, so that they are reported together.

    Args:
        listed: Maximum number of problems printed in full; the others are only counted.
    """

    def __init__(self, listed: int = 50) -> None:
        self.listed = listed
        self.messages: list[str] = []

    def add(self, message: str) -> None:
        """Adds a problem, described in one line."""
        self.messages.append(message)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Adds a `UserError` raised inside the block to the problems instead of propagating it."""
        try:
            yield
        except UserError as error:
            self.add(str(error))

    def raise_if_any(self, title: str) -> None:
        """Raises a `UserError` that lists all problems under `title`, if there are any."""
        if not self.messages:
            return
        if len(self.messages) == 1:
            raise UserError(f"{title}: {self.messages[0]}")
        shown = self.messages[: self.listed]
        hidden = len(self.messages) - len(shown)
        lines = [f"{title}: {len(self.messages)} problems", *(f"  - {line}" for line in shown)]
        if hidden:
            lines.append(f"  ... and {hidden} more")
        raise UserError("\n".join(lines))


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def shown(value: object) -> str:
    """The `repr` of a value for use in a message, shortened if it is long or deeply nested."""
    return _SHORT.repr(value)


def first_line(error: BaseException, length: int = 200) -> str:
    """The first line of an error's message, or the name of its type if it has no message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:length]


def fail(program: str, error: UserError) -> NoReturn:
    """Prints the error in the format of argparse and exits with status 2."""
    _discard_if_broken(sys.stdout)
    with suppress(OSError):
        print(f"{program}: error: {error}", file=sys.stderr)
    _discard_if_broken(sys.stderr)
    sys.exit(2)


def command(program: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Decorates an entry point so that it ends with a message instead of a traceback.

    A `UserError` exits with status 2, and so does an `OSError` not caught elsewhere: it comes
    from the machine, such as a full disk. Ctrl-C exits with status 130. If the reader of the
    output has gone, as in `... | head`, the program ends without a message and with status 141,
    as for a program terminated by SIGPIPE.

    Args:
        program: Name of the program in the messages.
    """

    def decorate(main: Callable[[], None]) -> Callable[[], None]:
        @wraps(main)
        def guarded() -> None:
            if isinstance(sys.stdout, io.TextIOWrapper):
                # A name with characters that the terminal cannot show is not an error.
                sys.stdout.reconfigure(errors="backslashreplace")
            try:
                _run_and_flush(main)
            except UserError as error:
                fail(program, error)
            except BrokenPipeError:
                _discard_if_broken(sys.stdout)
                _discard_if_broken(sys.stderr)
                sys.exit(128 + 13)  # signal.SIGPIPE, which Windows does not have
            except OSError as error:
                where, reason = error.filename or "output", error.strerror or error
                fail(program, UserError(f"{where}: {reason}; check the path and the disk"))
            except KeyboardInterrupt:
                print(f"\n{program}: interrupted", file=sys.stderr)
                sys.exit(130)

        return guarded

    return decorate


def _run_and_flush(main: Callable[[], None]) -> None:
    """Calls `main` and flushes its output, which may show a full disk or a closed pipe."""
    try:
        main()
    except SystemExit:  # of argparse, after --help
        print(end="", flush=True)
        raise
    print(end="", flush=True)


def _discard_if_broken(stream: TextIO) -> None:
    """Flushes a stream; if that fails, discards its buffer, or Python fails again when it exits."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
