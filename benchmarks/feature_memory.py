"""What it costs to read rows from files instead of keeping them in memory.

    python benchmarks/feature_memory.py [--device cpu|cuda] [--videos 64] [--kind float16|float32]

Writes made-up features of the size of I3D's into a temporary folder, reads them once to stay in
memory and once with a budget of a tenth of their size, checks that every batch of an epoch has the
same bits, and times epochs of batches of 16 x 750 rows: from memory, from files that the system
still has in its cache, and (Linux) from files that it has not, which is what data larger than the
memory costs. Prints medians and ratios.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from config.datasets import DATASETS
from dataset.batches import Batch, VideoBatches
from dataset.features.store import Features, MappedStore
from dataset.layouts import read_dataset
from utils.device import Device, choose_device

THUMOS14 = DATASETS["THUMOS"].classes
SNIPPETS, CHANNELS, BATCH_SIZE, STEP_SECONDS = 750, 2048, 16, 0.64


def write_data(folder: Path, videos: int, kind: str) -> int:
    """Writes a training split; returns the bytes of its features."""
    random = np.random.default_rng(0)
    database, size = {}, 0
    (folder / "train").mkdir()
    for i in range(videos):
        length = int(random.integers(SNIPPETS // 2, SNIPPETS * 2))
        rows = random.random((length, CHANNELS), dtype=np.float32).astype(kind)
        np.save(folder / "train" / f"v{i}.npy", rows)
        size += rows.nbytes
        annotations = [{"segment": [0, 1], "label": THUMOS14[0]}]
        database[f"v{i}"] = {"duration": length * STEP_SECONDS, "annotations": annotations}
    (folder / "gt.json").write_text(json.dumps({"database": database}))
    (folder / "split_train.txt").write_text("\n".join(database))
    return size


def forget(files: list[Path]) -> None:
    """Makes the system drop the files from its cache."""
    for file in files:
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def time_epochs(
    device: Device,
    features: Features,
    batches: list[Batch],
    before: Callable[[], object] = lambda: None,
) -> float:
    """Median seconds of five epochs; `before` is called before each, untimed."""
    seconds = []
    for _ in range(5):
        before()
        device.synchronize()
        start = time.perf_counter()
        for batch in batches:
            features.gather(batch.videos, batch.rows)
        device.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def compare(folder: Path, device: Device, size: int) -> None:
    """Equality first, then the times."""
    resident, mapped = (
        read_dataset(
            folder, THUMOS14, ["train"], snippet_seconds=STEP_SECONDS, memory_budget=budget
        )
        .to(device.device)
        .splits["train"]
        for budget in (size, size / 10)
    )
    device.keep_freed_memory()  # as the program does once the data are read
    assert isinstance(mapped.features, MappedStore)
    assert mapped.fingerprint == resident.fingerprint
    generator = torch.Generator().manual_seed(0)
    lengths = resident.features.lengths
    batches = list(VideoBatches(lengths, SNIPPETS, BATCH_SIZE, generator, device.device))
    for batch in batches:
        expected = resident.features.gather(batch.videos, batch.rows)
        assert mapped.features.gather(batch.videos, batch.rows).equal(expected)
    print(f"{len(batches)} batches of {BATCH_SIZE} x {SNIPPETS} rows: the same bits")

    memory = time_epochs(device, resident.features, batches)
    times = {"files in the system's cache": time_epochs(device, mapped.features, batches)}
    if hasattr(os, "posix_fadvise"):
        files = sorted(folder.glob("train/*.npy"))
        cold = time_epochs(device, mapped.features, batches, lambda: forget(files))
        times["files not in the cache"] = cold
    print(f"  {'memory':28} {1e3 * memory / len(batches):8.1f} ms a batch")
    for name, seconds in times.items():
        each = 1e3 * seconds / len(batches)
        print(f"  {name:28} {each:8.1f} ms a batch, {seconds / memory:5.2f} times as long")


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--videos", type=int, default=64)
    parser.add_argument("--kind", default="float16", choices=("float16", "float32"))
    given = parser.parse_args()
    device = choose_device(given.device, "0", "auto")
    print(f"{device}; {given.videos} videos, {CHANNELS} channels, {given.kind}")
    with tempfile.TemporaryDirectory() as folder:
        size = write_data(Path(folder), given.videos, given.kind)
        compare(Path(folder), device, size)


if __name__ == "__main__":
    main()
