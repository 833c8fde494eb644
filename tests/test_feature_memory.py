"""Features that do not fit into memory, and features converted to another precision."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from config.datasets import DATASETS
from dataset.dataset import Dataset
from dataset.features import reading
from dataset.features.conversion import convert, main
from dataset.features.store import FeatureStore, MappedStore
from dataset.layouts import read_dataset
from dataset.timing import SnippetTiming
from record.checkpoint import read_checkpoint
from tests.data_folder import make_data
from tests.program import run_main
from utils import memory
from utils.device import choose_device
from utils.errors import UserError

ROOT = Path(__file__).parents[1]
THUMOS14 = DATASETS["THUMOS"].classes
TRAIN = "video_train_0000000"
FLOAT16, FLOAT32 = np.dtype(np.float16), np.dtype(np.float32)


def read(folder: Path, budget: float, row_type: torch.dtype = torch.float32) -> Dataset:
    return read_dataset(
        folder, THUMOS14, timing=SnippetTiming(16, 25), memory_budget=budget, row_type=row_type
    )


def rewrite(folder: Path, change: Callable[[np.ndarray], Any]) -> None:
    for file in folder.glob("*/*.npy"):
        np.save(file, change(np.load(file)))


def size_of(folder: Path) -> int:
    return sum(np.load(file).nbytes for file in folder.glob("*/*.npy"))


def without_times(line: str) -> dict[str, float]:
    values = json.loads(line)
    return {name: value for name, value in values.items() if not name.startswith("seconds/")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data")


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a,
        lambda a: a.astype(np.float16),
        lambda a: a.astype(np.float64) / 3,
        lambda a: a.astype(">f4"),
        lambda a: a.astype(">f2"),
        lambda a: np.asfortranarray(a),
        lambda a: a.astype(np.float16 if len(a) == 1 else np.float32),
    ],
    ids=["float32", "float16", "float64", "big-endian", "big half", "fortran", "mixed"],
)
def test_mapped_features_and_fingerprint_equal_those_in_memory(
    folder: Path, change: Callable[[np.ndarray], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(folder, change)
    monkeypatch.setattr(reading, "BLOCK_BYTES", 500)  # several blocks per file
    resident, mapped = read(folder, np.inf), read(folder, 0)
    assert mapped.fingerprint == resident.fingerprint
    for split in ("train", "test"):
        expected, found = resident.splits[split].features, mapped.splits[split].features
        assert isinstance(expected, FeatureStore)
        assert isinstance(found, MappedStore)
        assert found.file_type == expected.snippets.dtype
        assert found.feature_dim == expected.feature_dim
        assert found.lengths.equal(expected.lengths)
        videos = torch.tensor([2, 1, 0, 2])  # video 1 has one snippet
        rows = torch.tensor([[5, 0, 5, 11], [0, 0, 0, 0], [0, 1, 2, 3], [11, 11, 0, 7]])
        assert found.gather(videos, rows).equal(expected.gather(videos, rows))


def test_the_budget_decides_and_is_printed_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = size_of(folder)
    for budget, kind, word in (
        (size, FeatureStore, "in memory"),
        (size - 1, MappedStore, "read from the files"),
    ):
        data = read(folder, budget)
        assert all(isinstance(split.features, kind) for split in data.splits.values())
        assert capsys.readouterr().out.count(word) == 1
    rewrite(folder, lambda a: a.astype(np.float16))  # half the size in memory too
    assert isinstance(read(folder, size / 2).splits["train"].features, FeatureStore)


@pytest.mark.parametrize("stage", [[], ["--ftcl"]])
def test_a_tenth_of_the_data_in_memory_gives_the_same_bits(
    folder: Path, tmp_path: Path, stage: list[str]
) -> None:
    tenth = size_of(folder) / 10 / 2**30
    states, metrics = [], []
    for name, budget in (("all", -1), ("tenth", tenth)):
        run = tmp_path / name
        flags = ["--data_dir", folder, "--save_dir", run, "--feature_memory", budget, *stage]
        flags += ["--device", "cpu", "--without_wandb", "--num_snippets", 20, "--batch_size", 3]
        flags += ["--epochs", 2, "--fc_dim", 8]
        printed = run_main(flags)
        assert ("read from the files" in printed) == (name == "tenth")
        states.append(read_checkpoint(run / "THUMOS_latest.pth")["model_state_dict"])
        lines = (run / "metrics.jsonl").read_text().splitlines()
        metrics.append([without_times(line) for line in lines])
    assert all(states[0][name].equal(states[1][name]) for name in states[0])
    assert metrics[0] == metrics[1]
    # A run that started with all features in memory can be resumed with mapped features.
    run_main([*flags, "--save_dir", tmp_path / "all", "--resume"])


def test_values_are_checked_even_if_they_are_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", 128)  # two snippets
    for name, first in ((TRAIN, 5), ("video_train_0000002", 0)):
        snippets = np.load(folder / "train" / f"{name}.npy")
        snippets[first:, 3] = np.nan
        np.save(folder / "train" / f"{name}.npy", snippets)
    with pytest.raises(
        UserError, match=r"(?s)2 problems.*0000000.*snippet 5;.*0000002.*snippet 0;"
    ):
        read(folder, 0)


def other_content(file: Path) -> None:
    np.save(file, np.load(file) + 1)
    os.utime(file, ns=(1, 1))  # file systems may store times coarsely


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (Path.unlink, "can no longer be read"),
        (other_content, "has changed"),
        (truncate, "has changed"),
    ],
)
def test_a_file_that_changes_during_the_run_is_one_clear_error(
    folder: Path, spoil: Callable[[Path], None], words: str
) -> None:
    store = read(folder, 0).splits["train"].features
    spoil(folder / "train" / f"{TRAIN}.npy")
    with pytest.raises(UserError, match=f"{TRAIN}.npy {words}"):
        store.gather(torch.tensor([1, 0]), torch.zeros(2, 3, dtype=torch.int64))
    assert store.gather(torch.tensor([2]), torch.zeros(1, 3, dtype=torch.int64)).shape == (1, 3, 16)


def test_the_automatic_budget_is_half_of_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    device = choose_device("cpu", "0", "fp32")
    assert device.memory_budget(0) == 0
    assert device.memory_budget(1.5) == 1.5 * 2**30
    monkeypatch.setattr(memory, "_limits", lambda: [2**24, 2**60])
    assert device.memory_budget(-1) == 2**23
    monkeypatch.setattr(memory, "_limits", list)
    assert 0 < device.memory_budget(-1) < 2**50


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_snippets_in_bfloat16_are_rounded_alike_in_memory_and_mapped(
    folder: Path, kind: Any
) -> None:
    rewrite(folder, lambda a: a.astype(kind))
    index = torch.tensor([0, 2]), torch.tensor([[3, 0], [7, 7]])
    data = read(folder, np.inf)
    expected = data.splits["train"].features.gather(*index)
    resident, mapped = (read(folder, budget, torch.bfloat16) for budget in (np.inf, 0))
    assert isinstance(mapped.splits["train"].features, MappedStore)
    assert isinstance(resident.splits["train"].features, FeatureStore)
    assert resident.splits["train"].features.snippets.dtype == torch.bfloat16
    assert resident.fingerprint == mapped.fingerprint == data.fingerprint
    for found in (d.splits["train"].features.gather(*index) for d in (resident, mapped)):
        assert found.dtype == torch.bfloat16
        assert found.equal(expected.bfloat16())


def test_snippets_in_bfloat16_need_half_of_the_budget(folder: Path) -> None:
    values = sum(np.load(file).size for file in folder.glob("t*/*.npy"))
    for row_type, size in ((torch.float32, 4 * values), (torch.bfloat16, 2 * values)):
        for budget, kind in ((size, FeatureStore), (size - 1, MappedStore)):
            assert isinstance(read(folder, budget, row_type).splits["train"].features, kind)


@pytest.mark.skipif(sys.platform != "linux", reason="a feature of the C library on Linux")
@pytest.mark.slow  # writes gigabytes
def test_freed_memory_is_kept_on_request() -> None:
    """New memory costs a page fault per page, kept memory none."""
    program = """
import resource, sys
import torch
from utils.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(2**26, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("another C library")
for _ in range(40):  # aligned pieces find their places after some rounds
    faults()
print(sum(faults() for _ in range(10)))
"""
    found = {}
    for wish in ("keep", "give back"):
        run = [sys.executable, "-c", program, wish]
        done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
        if "another C library" in done.stderr:
            pytest.skip("another C library")
        found[wish] = int(done.stdout)
    assert found["give back"] >= 10  # even with the largest pages
    assert found["keep"] < 0.1 * found["give back"]


@pytest.mark.cuda
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_mapped_features_on_cuda_equal_those_in_memory(folder: Path, kind: Any) -> None:
    rewrite(folder, lambda a: a.astype(kind))
    device = choose_device("cuda", "0", "fp32")
    videos = torch.tensor([0, 2]).to(device.device)
    rows = torch.tensor([[3, 0], [7, 7]]).to(device.device)
    stores = [read(folder, b).to(device.device).splits["train"].features for b in (np.inf, 0)]
    expected, found = (store.gather(videos, rows) for store in stores)
    assert found.equal(expected)
    assert found.device == expected.device
    assert 0 < device.memory_budget(-1) <= torch.cuda.get_device_properties(0).total_memory / 2


def test_conversion_rounds_every_file_and_copies_the_rest(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = folder / "train" / f"{TRAIN}.npy"
    snippets = np.asfortranarray(np.load(first).astype(">f8"))
    snippets[0, :3] = 0, 1e-6, 1 + 2**-11  # 1e-6 is subnormal, 1 + 2^-11 a tie between neighbors
    np.save(first, snippets)
    half = tmp_path / "new" / "half"
    flags = ["--input", str(folder), "--output", str(half), "--to", "float16"]
    monkeypatch.setattr(sys, "argv", ["features", *flags])
    main()
    printed = capsys.readouterr().out
    assert "10 files" in printed
    assert "largest relative rounding error: 4.88e-04" in printed
    assert [file.name for file in half.parent.iterdir()] == ["half"]
    before, after = read(folder, np.inf), read(half, np.inf)
    assert after.annotations_hash == before.annotations_hash
    assert [v.name for v in after.splits["test"].videos] == [
        v.name for v in before.splits["test"].videos
    ]
    for file in folder.glob("*/*.npy"):
        converted = np.load(half / file.relative_to(folder))
        assert converted.dtype == FLOAT16
        np.testing.assert_array_equal(converted, np.load(file).astype(np.float16))
    with pytest.raises(SystemExit):  # the folder now exists
        main()
    assert "exists already" in capsys.readouterr().err


def test_the_conversion_does_not_import_torch() -> None:
    code = "import sys, dataset.features.conversion; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_rounding_is_reported_exactly(folder: Path, tmp_path: Path) -> None:
    rewrite(folder, lambda a: np.zeros_like(a))
    first = folder / "train" / f"{TRAIN}.npy"
    snippets = np.load(first)
    snippets[0, :4] = 1 + 2**-12, 2**-24, 2**-26, 6e4
    np.save(first, snippets)
    done, files = convert(folder, tmp_path / "half", FLOAT16)
    assert len(files) == 10
    assert done.relative == pytest.approx(2**-12, rel=1e-3)  # of 1 + 2^-12; 60000 is in range
    assert (done.small, done.absolute) == (2, 2**-26)  # 2^-24 is the smallest subnormal
    assert done.values * 4 == size_of(folder)
    again, _ = convert(tmp_path / "half", tmp_path / "back", FLOAT32)
    assert again.relative == again.absolute == 0


def too_large(snippets: np.ndarray) -> None:
    snippets[2, 1] = -7e4


def not_finite(snippets: np.ndarray) -> None:
    snippets[4, 1] = np.inf


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (too_large, [r"too large for float16 \(at most 65504\)", "-70000 in snippet 2, channel 1"]),
        (not_finite, ["infinite values, first in snippet 4"]),
    ],
)
def test_conversion_names_the_file_it_cannot_convert_and_leaves_nothing(
    folder: Path, tmp_path: Path, spoil: Callable[[np.ndarray], None], words: list[str]
) -> None:
    path = folder / "train" / f"{TRAIN}.npy"
    snippets = np.load(path)
    spoil(snippets)
    np.save(path, snippets)
    other = folder / "test" / "video_test_0000000.npy"
    good = other.read_bytes()
    other.write_text("not numbers")
    with pytest.raises(UserError, match=r"test_0000000.npy is not a complete .npy"):
        convert(folder, tmp_path / "half", FLOAT16)
    other.write_bytes(good)
    for word in [rf"{TRAIN}\.npy", *words]:
        with pytest.raises(UserError, match=word):
            convert(folder, tmp_path / "half", FLOAT16)
    assert list(tmp_path.iterdir()) == [folder]
    shutil.rmtree(folder / "train")
    shutil.rmtree(folder / "test")
    with pytest.raises(UserError, match=r"no train/<video>\.npy"):
        convert(folder, tmp_path / "half", FLOAT16)


def test_conversion_takes_the_videos_of_the_split_files_and_names_what_it_leaves_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(folder / "train" / f"{TRAIN}_fps.npy", np.array(25.0))
    np.save(folder / "train" / f"{TRAIN}_timestamps.npy", np.arange(7))
    (folder / "test" / "video_test_0000000.npy").rename(
        folder / "test" / "v_video_test_0000000.npy"
    )
    (folder / "test" / "video_test_0000003.npy").unlink()
    _, files = convert(folder, tmp_path / "half", FLOAT16)
    assert len(files) == 9
    assert (tmp_path / "half" / "test" / "v_video_test_0000000.npy").exists()
    printed = capsys.readouterr().out.splitlines()
    assert (
        f"left out: 2 .npy files of no video in the split files (train/{TRAIN}_fps.npy, ...)"
        in printed
    )
    missing = "warning: 1 videos of the split files have no features (test/video_test_0000003.npy)"
    assert missing in printed
    (folder / "split_test.txt").unlink()  # then every file in its folder
    _, files = convert(folder, tmp_path / "again", FLOAT16)
    assert len(files) == 9
