"""Every bad input ends with its error message and exit status 2, and does no harm."""

import io
import resource
import shutil
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from config.datasets import THUMOS14
from dataset.layouts import read_dataset
from dataset.timing import SnippetTiming
from eval.detection import command as detection_command
from eval.report.encoding import script_json
from tests.bad_inputs.case import BASE, DETECTION
from tests.bad_inputs.page import CASES, cells_of, general, page_of
from tests.bad_inputs.run import make_good, message_of
from tests.data_folder import edit_json
from tests.program import run_main
from utils.device import Device, explain_out_of_memory
from utils.errors import UserError

PAGE = (Path(__file__).parents[1] / "docs" / "ERRORS.md").read_text(encoding="utf-8")
CELLS = cells_of(PAGE)
CPU = Device(torch.device("cpu"), "fp32")
ADVICE = "a smaller --num_snippets"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with valid data and a finished run."""
    folder = tmp_path_factory.mktemp("good")
    make_good(folder)
    return folder


@pytest.mark.parametrize("place", list(CASES), ids=": ".join)
def test_each_mistake_has_its_message_and_does_no_harm(
    place: tuple[str, str], good: Path, tmp_path: Path
) -> None:
    message = message_of(CASES[place], good, tmp_path)
    assert general(message) == CELLS[place], "run python -m tests.bad_inputs > docs/ERRORS.md"


def test_the_page_lists_exactly_these_mistakes() -> None:
    assert len(CASES) >= 60
    assert page_of(CELLS) == PAGE, "run python -m tests.bad_inputs > docs/ERRORS.md"
    assert list(CELLS) == list(CASES)


def test_markup_in_a_name_is_escaped_in_the_report(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(good)
    name, evil = "video_test_0000000", "<img src=x onerror=alert(1)>&amp;'\""
    data = tmp_path / "data"
    (data / "test").mkdir(parents=True)
    (data / "split_test.txt").write_text(evil)
    (data / "gt.json").write_bytes(Path("data/gt.json").read_bytes())
    edit_json(data / "gt.json", lambda c: c["database"].update({evil: c["database"].pop(name)}))
    (data / "test" / f"{evil}.npy").write_bytes(Path(f"data/test/{name}.npy").read_bytes())
    (tmp_path / "<u>.pth").write_bytes(Path("good.pth").read_bytes())
    checkpoint = tmp_path / "<u>.pth"
    run_main(["--data_dir", data, "--test", "--report", "--checkpoint", checkpoint])
    page = (tmp_path / "<u>_report" / "report.html").read_text()
    assert "<img src=x" not in page
    assert "<u>" not in page
    assert script_json(evil) in page  # the data of the script, which shows it as text


def test_characters_that_the_terminal_cannot_show_are_not_an_error(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(good)
    written = tmp_path / b"caf\xe9.json".decode("utf-8", "surrogateescape")
    arguments = [DETECTION, *BASE[DETECTION].split(), "--json", str(written)]
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(sys, "stdout", terminal)
    detection_command.main()
    terminal.seek(0)
    assert "caf\\udce9.json" in terminal.read()
    assert written.exists()


def out_of_memory_above(most: int) -> tuple[Callable[[int], None], list[int]]:
    """A step that runs out of CUDA memory with more than `most` videos, and the sizes it got."""
    tried: list[int] = []

    def step(batch_size: int) -> None:
        tried.append(batch_size)
        if batch_size > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    return step, tried


@pytest.mark.parametrize(
    ("fits", "advice"),
    [
        (37, "--batch_size 64 does not fit, 37 does (tried); use --batch_size 34"),
        (63, "--batch_size 64 does not fit, 63 does (tried); use --batch_size 57"),
        (1, "--batch_size 64 does not fit, 1 does (tried); use --batch_size 1 or"),
        (0, "not even --batch_size 1 fits"),
    ],
)
def test_out_of_cuda_memory_reports_a_batch_size_that_fits(fits: int, advice: str) -> None:
    step, tried = out_of_memory_above(fits)
    with pytest.raises(UserError) as raised, explain_out_of_memory(CPU, ADVICE, 64, step):
        step(64)
    assert advice in str(raised.value)
    assert len(tried) <= 7


def test_the_memory_of_the_failed_step_is_freed_before_other_sizes_are_tried() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def step(batch_size: int) -> None:
        assert all(tensor() is None for tensor in held)
        activations = torch.zeros(batch_size)
        held.append(weakref.ref(activations))
        if batch_size > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(UserError, match="3 does"), explain_out_of_memory(CPU, ADVICE, 8, step):
        step(8)
    assert len(held) == 4


def test_out_of_memory_elsewhere_is_reported_and_other_errors_propagate() -> None:
    step, tried = out_of_memory_above(0)
    refused = pytest.raises(UserError, match=r"out of memory on CPU.*tried to allocate")
    with refused, explain_out_of_memory(CPU, ADVICE, 8, step):
        torch.empty(10**15)
    assert not tried  # the system may kill the process instead of refusing memory
    with (
        pytest.raises(UserError, match=r"out of memory.*Unable to allocate"),
        explain_out_of_memory(CPU, ADVICE),
    ):
        np.empty(10**15)
    with pytest.raises(RuntimeError, match="another"), explain_out_of_memory(CPU, ADVICE):
        raise RuntimeError("another")


def test_a_header_that_claims_gigabytes_takes_no_memory(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good / "data", tmp_path / "data")
    path = tmp_path / "data" / "test" / "video_test_0000000.npy"
    with path.open("wb") as file:
        shape = (100_000_000, 16)  # 6.4 GB
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"is not a complete \.npy array"):
        read_dataset(tmp_path / "data", THUMOS14.classes, ["test"], timing=SnippetTiming(16, 25))
    half_a_gigabyte = (
        500_000_000 if sys.platform == "darwin" else 500_000
    )  # in bytes on macOS, in KB elsewhere
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + half_a_gigabyte
