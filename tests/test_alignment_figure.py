"""The figure of the alignments: values, drawing, choice of videos, command, and the report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from config.model_config import make_config
from dataset.layouts import read_dataset
from dataset.timing import SnippetTiming
from dataset.videos import Segment
from eval.report.alignment_figure import describe, draw_alignments
from eval.report.alignments import DELETE, INSERT, MATCH, AlignedPair, AlignedVideo, Alignment
from eval.report.drawn_alignment import scales
from eval.report.figure_files import write_figure
from models.alignment import cosine_table, longest_common_subsequence
from models.branches import INSTANCE
from models.ftclnet import FTCLNet
from models.recurrence import DELETE as RECURRENCE_DELETE
from models.recurrence import INSERT as RECURRENCE_INSERT
from models.recurrence import MATCH as RECURRENCE_MATCH
from prediction.alignment import can_align, load_aligner
from prediction.chosen_pairs import default_pairs, named_pairs
from tests.data_folder import LABELS, make_data
from tests.known_network import WIDTH, known_weights, stored_config, write_checkpoint
from tests.program import run_command, run_main
from tools import alignment_figure as tool
from utils.device import choose_device
from utils.errors import UserError

STORED = {"num_snippets": 24, "fsd_len": 4, "lcs_len": 6, "thres": 0.9}


def ftcl_weights() -> dict[str, torch.Tensor]:
    """Weights of an FTCL-Net whose scoring part is that of `known_weights`."""
    torch.manual_seed(0)
    return FTCLNet(WIDTH, len(LABELS), fc_dim=8).state_dict() | known_weights(len(LABELS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data in `data` and the checkpoints ftcl.pth and acm.pth."""
    folder = tmp_path_factory.mktemp("alignment")
    make_data(folder / "data")
    content: dict[str, Any] = {"config": stored_config(**STORED), "classes": list(LABELS)}
    write_checkpoint(folder / "ftcl.pth", ftcl_weights(), **content)
    write_checkpoint(folder / "acm.pth", known_weights(len(LABELS)), **content)
    return folder


Run = Callable[..., str]


@pytest.fixture
def run(folder: Path) -> Run:
    """Runs the command on the data; returns what it prints."""

    def run_tool(*words: object, checkpoint: str = "ftcl.pth", exits: int = 0) -> str:
        files = ["--checkpoint", folder / checkpoint, "--data_dir", folder / "data"]
        flags = [*files, "--device", "cpu", *words]
        return run_command(tool.main, "alignment_figure.py", flags, exits)

    return run_tool


def video(name: str, snippets: int) -> AlignedVideo:
    """A video of one second per snippet."""
    attention = np.linspace(0, 1, snippets, dtype=np.float32)
    segment = Segment(0.2, 0.8, LABELS[0])
    return AlignedVideo(
        name, LABELS[:1], np.arange(snippets, dtype=np.float64), attention, snippets, (segment,)
    )


def example(rows: int = 3, columns: int = 4) -> AlignedPair:
    """A pair whose path moves in all three ways, with a threshold in its LCS."""
    similarity = np.linspace(-0.2, 1, rows * columns, dtype=np.float32).reshape(rows, columns)
    path = np.zeros((rows, columns), np.int8)
    if rows > 1:
        path[0, 0], path[1, 0], path[1, 1], path[2, 2] = MATCH, INSERT, DELETE, MATCH
    first, second = np.arange(rows), np.arange(columns)
    alignments = (
        Alignment("FSD", first, second, similarity, path, 1.25),
        Alignment("LCS", first, second, similarity, path, 2.0, threshold=0.5),
    )
    pair = video("first $x_1$", max(rows, 2)), video("二番目", columns)
    return AlignedPair(*pair, True, alignments)


def test_codes_of_a_path_are_those_of_the_recurrence() -> None:
    assert (MATCH, INSERT, DELETE) == (RECURRENCE_MATCH, RECURRENCE_INSERT, RECURRENCE_DELETE)


def test_moves_come_in_the_order_of_the_path() -> None:
    moves = example().alignments[0].moves
    assert moves == [(0, 0, MATCH), (1, 0, INSERT), (1, 1, DELETE), (2, 2, MATCH)]


def test_colours_change_at_the_threshold() -> None:
    alignment = example().alignments[1]
    below, above = scales(alignment, (-0.2, 1.0))
    assert (above.shown == (alignment.similarity > 0.5)).all()
    assert (below.shown == ~above.shown).all()
    assert (below.high, above.low) == (0.5, 0.5)


def test_the_figure_shows_matrix_and_path() -> None:
    pair = example()
    figure = draw_alignments([pair])
    matrices = [axes for axes in figure.axes if "candidate" in axes.get_xlabel()]
    assert len(matrices) == 2
    for axes in matrices:
        assert axes.get_xlim() == (-0.5, 3.5)  # no margin around the cells
        assert axes.get_ylim() == (2.5, -0.5)
        line = np.asarray(axes.lines[0].get_xydata()).tolist()
        assert line == [[-1, -1], [0, 0], [0, 1], [1, 1], [2, 2]]
    matches = np.asarray(matrices[1].lines[1].get_xydata()).tolist()
    assert matches == [[0, 0], [2, 2]]
    assert describe([pair]) == [
        "positive pair (BaseballPitch), first $x_1$ and 二番目: FSD 1.25, LCS 2.00"
    ]


@pytest.mark.filterwarnings("error")
def test_files_are_the_same_every_time(tmp_path: Path) -> None:
    figure = draw_alignments([example(1, 2)])
    for name, start in (("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")):
        write_figure(tmp_path / name, figure, 40)
        assert (tmp_path / name).read_bytes().startswith(start)
    write_figure(tmp_path / "b.svg", figure, 40)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()


def test_values_are_those_of_the_losses(folder: Path) -> None:
    data = read_dataset(folder / "data", LABELS, ["test"], timing=SnippetTiming(16, 25))
    weights = ftcl_weights()
    checkpoint = {"model_state_dict": weights, "config": stored_config(**STORED)}
    config = make_config(
        dataset="THUMOS", test=True, checkpoint="x.pth", data_dir=str(folder), num_snippets=24
    )
    aligner = load_aligner(checkpoint, config, LABELS, choose_device("cpu", "0", "fp32"))
    split = data.splits["test"]
    pair = aligner(split, 0, 3)
    assert pair.positive
    assert not aligner(split, 0, 2).positive
    fsd, lcs = pair.alignments
    for alignment, most in ((fsd, 4), (lcs, 6)):
        for chosen, member in ((alignment.first, pair.first), (alignment.second, pair.second)):
            best = np.sort(np.argsort(-member.attention, kind="stable")[:most])
            assert chosen.tolist() == best.tolist()
    net = FTCLNet(WIDTH, len(LABELS), fc_dim=8)
    net.load_state_dict(weights)
    net.eval()
    embedded = []
    for index, chosen in ((0, lcs.first), (3, lcs.second)):
        length = int(split.features.lengths[index])
        rows = torch.arange(length) if length <= 24 else None
        if rows is None:
            rows = (torch.arange(24) * length / 24).long()
        output = net(split.features.gather(torch.tensor([index]), rows[None]))
        embedded.append(output.embedding[:, torch.from_numpy(chosen)])
        member = (pair.first, pair.second)[index > 0]
        shown = output.attention[0, :, INSTANCE].detach().numpy()
        np.testing.assert_allclose(member.attention, shown, atol=1e-6)
    table = cosine_table(*embedded).detach()
    np.testing.assert_allclose(lcs.similarity, table[0].numpy(), atol=1e-6)
    assert lcs.score == pytest.approx(longest_common_subsequence(table, 0.9).item(), abs=1e-5)
    assert lcs.similarity[lcs.path == MATCH].sum() == pytest.approx(lcs.score, abs=1e-4)


def test_pairs_by_default() -> None:
    classes = [{"a", "b"}, {"a"}, {"c"}, {"a"}, {"c"}, set()]
    assert default_pairs(classes, [9] * 6, 5) == [(1, 3), (1, 2)]
    assert default_pairs(classes, [9, 9, 9, 2, 9, 9], 5) == [(2, 4), (2, 0)]  # 3 is too short
    assert default_pairs([{"a", "b"}, {"a"}], [1, 1], 5) == [(0, 1)]
    assert default_pairs([{"a"}, {"b"}, set()], [9] * 3, 5) == []


def test_pairs_by_name() -> None:
    names = ["v_one", "two", "three"]
    assert named_pairs(["one", "three", "two"], names, "test") == [(0, 2), (0, 1)]
    for wanted, message in (
        (["v_one", "tow"], "--videos tow: not among the 3 videos of the test split"),
        (["v_one", "v_one"], "wanted different videos"),
    ):
        with pytest.raises(UserError, match=message):
            named_pairs(wanted, names, "test")


def test_the_command(run: Run, tmp_path: Path) -> None:
    printed = run("--output", tmp_path / "a.svg")
    assert "positive pair (BaseballPitch), video_test_0000000 and video_test_0000003" in printed
    assert "negative pair" in printed
    assert "<image" in (tmp_path / "a.svg").read_text()
    printed = run("--output", tmp_path / "a.svg", "--videos", "video_test_0000001", "test_0000003",
                  exits=2)  # fmt: skip
    assert "--videos test_0000003: not among the 4 videos" in printed
    short = ("--videos", "video_test_0000001", "video_test_0000002")  # the first has one snippet
    assert "negative pair" in run("--output", tmp_path / "b.svg", *short)


def test_mistakes(run: Run, tmp_path: Path) -> None:
    good = tmp_path / "a.png"
    for words, checkpoint, message in (
        (["--output", tmp_path / "a.jpg"], "ftcl.pth", "wanted a file ending in .png, .pdf, .svg"),
        (["--output", good, "--videos", "a"], "ftcl.pth", "wanted two or three videos"),
        (["--output", good], "acm.pth", "acm.pth has no projection (feature_trans.weight)"),
    ):
        assert message in run(*words, checkpoint=checkpoint, exits=2)
    assert not good.exists()


def test_the_report_of_a_test_shows_it(folder: Path, tmp_path: Path) -> None:
    flags = ["--data_dir", folder / "data", "--device", "cpu", "--save_dir", tmp_path]
    run_main([*flags, "--test", "--checkpoint", folder / "ftcl.pth", "--report"])
    page = (tmp_path / "ftcl_report/report.html").read_text(encoding="utf-8")
    assert 'src="data:image/svg+xml;base64,' in page
    assert "<li>positive pair (BaseballPitch), video_test_0000000" in page


def test_checkpoints_that_align_nothing() -> None:
    without = {"without_fsd": True, "without_lcs": True}
    for weights, settings, expected in (
        (ftcl_weights(), {}, True),
        (ftcl_weights(), {"without_fsd": True}, True),
        (ftcl_weights(), without, False),
        (known_weights(len(LABELS)), {}, False),
    ):
        checkpoint = {"model_state_dict": weights, "config": stored_config(**settings)}
        assert can_align(checkpoint) is expected
