"""Cost of reading snippets from files instead of keeping the features in memory.

    python benchmarks/feature_memory.py [--device cpu|cuda] [--videos 64] [--kind float16|float32]

Writes random features of the size of I3D features into a temporary directory, reads them once into
memory and once with a memory budget of a tenth of their size, checks that every batch of an epoch
is bit-identical, and times epochs of batches of 16 x 750 snippets: from memory, from files in the
page cache of the operating system, and (on Linux) from files outside the page cache, which is the
cost of features that are larger than the memory. Prints medians and ratios.
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

from config.datasets import THUMOS14
from dataset.batches import Batch, VideoBatches
from dataset.features.store import Features, MappedStore
from dataset.layouts import read_dataset
from dataset.timing import SnippetTiming
from utils.device import Device, choose_device
from utils.errors import command

SNIPPETS, CHANNELS, BATCH_SIZE, TIMING = 750, 2048, 16, SnippetTiming(16, 25)


def write_data(folder: Path, videos: int, dtype: str) -> int:
    """Writes a training split of random features; returns their size in bytes."""
    random = np.random.default_rng(0)
    database, size = {}, 0
    (folder / "train").mkdir()
    for i in range(videos):
        length = int(random.integers(SNIPPETS // 2, SNIPPETS * 2))
        snippets = random.random((length, CHANNELS), dtype=np.float32).astype(dtype)
        np.save(folder / "train" / f"v{i}.npy", snippets)
        size += snippets.nbytes
        annotations = [{"segment": [0, 1], "label": THUMOS14.classes[0]}]
        database[f"v{i}"] = {"duration": length * TIMING.seconds, "annotations": annotations}
    (folder / "gt.json").write_text(json.dumps({"database": database}))
    (folder / "split_train.txt").write_text("\n".join(database))
    return size


def drop_from_cache(files: list[Path]) -> None:
    """Makes the operating system drop the files from its page cache."""
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
    """Median time of five epochs in seconds.

    Args:
        device: Device of the features.
        features: Features of the split.
        batches: Batches of an epoch.
        before: Called before every epoch, not timed.
    """
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
    """Compares both ways to read the features: equality, then the times.

    Args:
        folder: Data directory.
        device: Device of the batches.
        size: Size of the features in bytes.
    """
    resident, mapped = (
        read_dataset(folder, THUMOS14.classes, ["train"], timing=TIMING, memory_budget=budget)
        .to(device.device)
        .splits["train"]
        for budget in (size, size / 10)
    )
    device.keep_freed_memory()  # as the program does after reading the data
    assert isinstance(mapped.features, MappedStore)
    assert mapped.fingerprint == resident.fingerprint
    generator = torch.Generator().manual_seed(0)
    lengths = resident.features.lengths
    batches = list(VideoBatches(lengths, SNIPPETS, BATCH_SIZE, generator, device.device))
    for batch in batches:
        expected = resident.features.gather(batch.videos, batch.rows)
        assert mapped.features.gather(batch.videos, batch.rows).equal(expected)
    print(f"{len(batches)} batches of {BATCH_SIZE} x {SNIPPETS} snippets: bit-identical")

    memory = time_epochs(device, resident.features, batches)
    times = {"files in the page cache": time_epochs(device, mapped.features, batches)}
    if hasattr(os, "posix_fadvise"):
        files = sorted(folder.glob("train/*.npy"))
        cold = time_epochs(device, mapped.features, batches, lambda: drop_from_cache(files))
        times["files outside the page cache"] = cold
    print(f"  {'memory':28} {1e3 * memory / len(batches):8.1f} ms per batch")
    for name, seconds in times.items():
        each = 1e3 * seconds / len(batches)
        print(f"  {name:28} {each:8.1f} ms per batch, {seconds / memory:5.2f} x")


@command("benchmarks/feature_memory.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--videos", type=int, default=64, help="number of videos (64)")
    parser.add_argument("--kind", default="float16", choices=("float16", "float32"), help="type")
    given = parser.parse_args()
    device = choose_device(given.device, "0", "auto")
    print(f"{device}; {given.videos} videos, {CHANNELS} channels, {given.kind}")
    with tempfile.TemporaryDirectory() as folder:
        size = write_data(Path(folder), given.videos, given.kind)
        compare(Path(folder), device, size)


if __name__ == "__main__":
    main()
