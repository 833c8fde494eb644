"""Reads the file of an offline wandb run with wandb's own message type."""

import json
import struct
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


class OfflineRun:
    """The content of an offline run, which has finished.

    Args:
        folder: Run directory, with one run below its subdirectory `wandb`.

    Attributes:
        folder: Folder of the wandb run.
        about: Message about the run: project, group, display name, tags, job type.
        config: Settings.
        history: Values by step.
        summary: Values at the end.
        metrics: Definitions of metrics by name or pattern.
        artifacts: Messages about the artifacts by type.
    """

    def __init__(self, folder: Path) -> None:
        (self.folder,) = (f for f in folder.glob("wandb/offline-run-*") if f.is_dir())
        self.about: Any = None
        self.config: dict[str, Any] = {}
        self.history: dict[int, dict[str, Any]] = {}
        self.summary: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}
        self.artifacts: dict[str, list[Any]] = defaultdict(list)
        for record in records(folder):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.about = record.run
                self.config |= values(record.run.config.update)
            elif kind == "history":
                items = values(record.history.item)
                self.history[items["_step"]] = items
            elif kind == "summary":
                self.summary |= values(record.summary.update)
            elif kind == "metric":
                self.metrics[record.metric.name or record.metric.glob_name] = record.metric
            elif kind == "artifact":
                self.artifacts[record.artifact.type].append(record.artifact)

    def file(self, name: str) -> Path:
        """A file that the run has stored, such as an image of its history."""
        return self.folder / "files" / name

    def table(self, step: int, name: str) -> dict[str, list[Any]]:
        """The content of a logged table: its columns, and its rows as `data`."""
        content: dict[str, list[Any]] = json.loads(
            self.file(self.history[step][f"{name}.path"]).read_text()
        )
        return content


def values(items: Iterable[Any]) -> dict[str, Any]:
    """Values by name; the parts of a nested name are joined by points."""
    return {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items}


def records(folder: Path) -> list[Any]:
    """The records of the only wandb run in a folder.

    The run has finished, but wandb may still be writing its last records.
    """
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    for _ in range(300):
        found = [Record.FromString(chunk) for chunk in log_chunks(file.read_bytes()[7:])]
        if found and found[-1].WhichOneof("record_type") == "exit":
            return found
        time.sleep(0.1)
    raise AssertionError(f"{file} is incomplete: {len(found)} records")


def log_chunks(content: bytes, block: int = 32768) -> Iterator[bytes]:
    """Records of a LevelDB log, the format of a .wandb file after its 7-byte header."""
    position, parts = 7, b""
    content = bytes(7) + content
    while position + 7 <= len(content):
        if block - position % block < 7:
            position += block - position % block
            continue
        length, kind = struct.unpack("<HB", content[position + 4 : position + 7])
        if position + 7 + length > len(content):  # not completely written yet
            return
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a complete record, or the last part of one
            yield parts
            parts = b""
