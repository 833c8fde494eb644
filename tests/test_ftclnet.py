"""FTCL-Net, its candidates, contrastive losses and pairs, against the official implementation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dataset.pairs import PairBatches, negative_pairs, positive_pairs
from models.acmnet import ACMOutput
from models.alignment import Moves, longest_common_subsequence
from models.branches import BRANCHES
from models.candidates import (
    SnippetSequence,
    action_candidates,
    background_candidates,
    first_occurrences,
    gather_snippets,
)
from models.contrastive import (
    ContrastiveLosses,
    count_pairs,
    difference_of_means,
    fsd_scores,
    halves,
    lcs_scores,
    match_cross_entropy,
    ranking_loss,
    same_class,
)
from models.criteria import ACMCriterion, Criterion, FTCLCriterion
from models.ftclnet import FTCLNet
from models.terms import weighted_sum
from tests.test_acmnet import PRECISIONS, WEIGHTS, GivenMask, check
from utils.errors import UserError


def action_sequence(
    output: ACMOutput, length: int, usable: Tensor | None = None
) -> SnippetSequence:
    candidates = action_candidates(output.attention, length, usable)
    return gather_snippets(output.embedding, candidates)[0]


def background_sequence(
    output: ACMOutput, length: int, kind: str, usable: Tensor | None = None
) -> SnippetSequence:
    candidates = background_candidates(output.attention, length, kind, usable)
    return gather_snippets(output.embedding, candidates)[0]


def ftcl_criterion(net: FTCLNet, **settings: Any) -> FTCLCriterion:
    return FTCLCriterion(ACMCriterion(), ContrastiveLosses(net.project, **settings))


FTCL_WEIGHTS = {**WEIGHTS, "fsd": 0.8, "lcs": 0.1}


@pytest.fixture(scope="module")
def values(golden: Path) -> Any:
    return np.load(golden / "net_loss.npz")


def both(values: Any, key: str, dtype: torch.dtype) -> Tensor:
    """The arrays of the first and of the second videos, one after the other."""
    names = (key.format(1), key.format(2))
    return torch.cat([torch.tensor(values[name], dtype=dtype) for name in names])


def official_net(values: Any, dtype: torch.dtype, mode: str) -> FTCLNet:
    settings = json.loads(str(values["hyper_params_json"]))
    net = FTCLNet(settings["feature_dim"], settings["action_cls_num"], fc_dim=settings["fc_dim"])
    net.load_state_dict({n: torch.tensor(values[f"sd/{n}"]) for n, _ in net.named_parameters()})
    net = net.to(dtype).eval()
    if mode == "train":
        for layer, mask in [("snippet_dropout", "select"), ("channel_dropout", "feat")]:
            setattr(net, layer, GivenMask(both(values, f"drop/mask{{}}_{mask}", dtype)))
    return net


def losses_and_total(
    net: FTCLNet, criterion: Criterion, values: Any, dtype: torch.dtype
) -> tuple[Mapping[str, Tensor], Tensor]:
    features = both(values, "x{}", dtype)
    rows = torch.arange(features.shape[1]).expand(len(features), -1)
    losses = criterion(net(features), both(values, "label{}", dtype), rows).losses
    total = weighted_sum(losses, FTCL_WEIGHTS)
    total.backward()
    return losses, total


def projected(net: FTCLNet, sequence: SnippetSequence) -> Tensor:
    tables = net.project(sequence.snippets)
    return torch.cat([tables.match, tables.insert], dim=-1)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(("dtype", "suffix", "tolerance"), PRECISIONS)
def test_candidates_equal_the_official_ones(
    values: Any, mode: str, dtype: torch.dtype, suffix: str, tolerance: float
) -> None:
    net = official_net(values, dtype, mode)
    output = net(both(values, "x{}", dtype))
    found = {
        "lcs_candi": action_sequence(output, 6).snippets,
        "fsd_act_candi": projected(net, action_sequence(output, 3)),
        "fsd_bak_candi": projected(net, background_sequence(output, 3, "release")),
    }
    for name, snippets in found.items():
        for number, part in enumerate(snippets.chunk(2), 1):
            check(part, values[f"{mode}/out{number}/{name}_{suffix}"], tolerance)


def official_cross_entropy(log_scores: Tensor, targets: Tensor) -> Tensor:
    """The cross-entropy of the official FTCL implementation, which adds 1e-10 in the logarithm."""
    targets = targets / targets.sum(dim=1, keepdim=True)
    return -(targets * (log_scores.exp() + 1e-10).log()).sum(dim=1)


# Ours omits the 1e-10, which matters in float64: 1e-9 holds with it, 5e-8 without.
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(
    ("dtype", "suffix", "tolerance", "with_epsilon"),
    [
        (torch.float32, "f32", 2e-5, False),
        (torch.float64, "f64", 5e-8, False),
        (torch.float64, "f64", 1e-9, True),
    ],
)
def test_every_loss_and_gradient_equals_the_official_ones(
    values: Any,
    mode: str,
    dtype: torch.dtype,
    suffix: str,
    tolerance: float,
    with_epsilon: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if with_epsilon:
        monkeypatch.setattr("models.losses._cross_entropy", official_cross_entropy)
    net = official_net(values, dtype, mode)
    losses, total = losses_and_total(net, ftcl_criterion(net, fsd_len=3, lcs_len=6), values, dtype)
    prefix = f"{mode}/ftcl_loss"
    official = {
        "instance": "act_inst_loss",
        "context": "act_cont_loss",
        "background": "act_back_loss",
        "guide": "guide_loss",
        "feature": "feat_loss",
        "sparse": "sparse_loss",
        "fsd": "fsd_loss",
        "lcs": "lcs_loss",
    }
    assert set(losses) == set(official)
    for name, key in official.items():
        weight = FTCL_WEIGHTS[name] if name in ("fsd", "lcs") else 1.0
        check(weight * losses[name], values[f"{prefix}/{key}_{suffix}"], tolerance)
    check(total, values[f"{prefix}/total_{suffix}"], tolerance)
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        check(parameter.grad, values[f"{prefix}/grad/{name}_{suffix}"], tolerance)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(("dtype", "suffix", "tolerance"), PRECISIONS)
def test_the_switches_leave_out_what_they_say(
    values: Any,
    mode: str,
    dtype: torch.dtype,
    suffix: str,
    tolerance: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.losses._cross_entropy", official_cross_entropy)
    without: dict[str, dict[str, Any]] = {
        "ftcl_loss_without_lcs": {"lcs": False},
        "ftcl_loss_without_fsd": {"fsd": False},
    }
    for key, switches in without.items():
        net = official_net(values, dtype, mode)
        criterion = ftcl_criterion(net, fsd_len=3, lcs_len=6, **switches)
        _, total = losses_and_total(net, criterion, values, dtype)
        check(total, values[f"{mode}/{key}/total_{suffix}"], tolerance)
    net = official_net(values, dtype, mode)
    neither, _ = losses_and_total(net, ftcl_criterion(net, fsd=False, lcs=False), values, dtype)
    control, _ = losses_and_total(net, ACMCriterion(), values, dtype)
    assert all(neither[name].equal(control[name]) for name in control)
    assert set(neither) == set(control)


def test_scores_of_each_pair_equal_the_official_ones(values: Any) -> None:
    net = official_net(values, torch.float64, "eval")
    output = net(both(values, "x{}", torch.float64))
    positive = same_class(both(values, "label{}", torch.float64))
    assert positive.tolist() == values["eval/ftcl_loss/pair_label"].astype(bool).tolist()
    first, second = halves(action_sequence(output, 6))
    lcs = lcs_scores(first, second, 0.92)
    check(lcs.score, values["eval/ftcl_loss/lcs_per_pair_f64"], 1e-9)
    action, other_action = halves(action_sequence(output, 3))
    _, other_background = halves(background_sequence(output, 3, "release"))
    fsd = torch.where(
        positive,
        fsd_scores(action, other_action, net.project, 0.1),
        fsd_scores(action, other_background, net.project, 0.1),
    )
    check(fsd, values["eval/ftcl_loss/fsd_per_pair_f64"], 1e-9)


def output_with(attention: Tensor) -> ACMOutput:
    """An output whose embedding tells the index of each snippet; attention (B, T, 3)."""
    batch, num_snippets, _ = attention.shape
    embedding = torch.arange(1.0, num_snippets + 1).expand(batch, -1)[..., None]
    return ACMOutput(embedding, attention, attention, attention, attention)


def chosen(sequence: SnippetSequence) -> list[list[int]]:
    return [
        [int(value) - 1 for value in video[:length, 0]]
        for video, length in zip(sequence.snippets, sequence.lengths.tolist(), strict=True)
    ]


def test_candidates_are_ranked_by_attention_and_come_in_temporal_order() -> None:
    instance = torch.tensor([0.1, 0.9, 0.3, 0.8, 0.2, 0.7, 0.6, 0.05])
    background = torch.tensor([0.3, 0.0, 0.2, 0.1, 0.7, 0.0, 0.0, 0.6])
    output = output_with(torch.stack([instance, instance * 0, background], dim=-1)[None])
    assert chosen(action_sequence(output, 3)) == [[1, 3, 5]]
    assert chosen(background_sequence(output, 3, "release")) == [[2, 4, 6]]
    assert chosen(background_sequence(output, 3, "attention")) == [[0, 4, 7]]
    assert chosen(background_sequence(output, 3, "low")) == [[0, 4, 7]]
    assert chosen(background_sequence(output, 2, "low")) == [[0, 7]]


@pytest.mark.parametrize("num_snippets", [1, 2, 4, 5, 7, 10])
def test_short_videos_give_sequences_as_long_as_they_are(num_snippets: int) -> None:
    torch.manual_seed(0)
    output = output_with(torch.rand(2, num_snippets, 3))
    for sequence in (
        action_sequence(output, 5),
        background_sequence(output, 5, "release"),
        background_sequence(output, 5, "attention"),
    ):
        assert sequence.lengths.tolist() == [min(5, num_snippets)] * 2
        for indices in chosen(sequence):
            assert indices == sorted(set(indices))


def test_distinct_candidates_count_a_snippet_once() -> None:
    rows = torch.tensor([[0, 0, 0, 1, 2, 2, 3, 3], [0, 0, 0, 0, 0, 0, 0, 0]])
    usable = first_occurrences(rows)
    assert usable.tolist()[0] == [True, False, False, True, True, False, True, False]
    instance = torch.tensor([[0.9, 0.9, 0.9, 0.1, 0.8, 0.8, 0.2, 0.2], [0.5] * 8])
    output = output_with(torch.stack([instance] * 3, dim=-1))
    assert chosen(action_sequence(output, 2, usable)) == [[0, 4], [0]]
    assert chosen(background_sequence(output, 2, "release", usable)) == [[3, 6], [0]]
    assert chosen(action_sequence(output, 6, usable)) == [[0, 3, 4, 6], [0]]


@pytest.mark.parametrize("objective", ["release", "paper"])
@pytest.mark.parametrize("background", ["release", "attention", "low"])
@pytest.mark.parametrize("distinct", [False, True])
@pytest.mark.parametrize("num_snippets", [1, 7, 40])
def test_every_form_gives_finite_losses_and_gradients(
    objective: str, background: str, distinct: bool, num_snippets: int
) -> None:
    torch.manual_seed(0)
    net = FTCLNet(16, 3, fc_dim=8, separate_gaps=objective == "paper")
    features = torch.rand(4, num_snippets, 16)
    features[1] = 0  # zero rows
    features[2] = features[2, :1]  # identical rows
    rows = torch.randint(0, 9, (4, num_snippets)).sort(dim=1).values
    labels = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]])
    criterion = ftcl_criterion(net, objective=objective, background=background, distinct=distinct)
    output = net(features)
    terms = criterion(output, labels, rows)
    weighted_sum(terms.losses, FTCL_WEIGHTS).backward()
    assert all(loss.isfinite() for loss in terms.losses.values())
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all()
    assert 0 <= terms.logged["lcs match share"] <= 1
    norms = [terms.logged[f"norm/{branch}"] for branch in BRANCHES]
    wanted = output.branch_features.norm(dim=-1).mean(dim=0)  # (3,)
    torch.testing.assert_close(torch.stack(norms), wanted.detach())


def test_a_side_without_a_pair_contributes_nothing() -> None:
    scores = torch.tensor([1.0, 3.0])
    for positive, expected in (([True, True], -2), ([False, False], 2), ([True, False], 2)):
        chosen_pairs = torch.tensor(positive)
        counts = count_pairs(chosen_pairs)
        assert difference_of_means(scores, chosen_pairs, counts) == expected
    none = torch.tensor([False, False])
    assert ranking_loss(scores, (scores,), none, 0.2, count_pairs(none)) == 0


def test_the_losses_of_the_paper_fall_as_positive_pairs_align_better() -> None:
    positive = torch.tensor([True, False])
    counts = count_pairs(positive)
    high, low = torch.tensor([5.0, 0]), torch.tensor([1.0, 9])
    good = ranking_loss(high, (low,) * 2, positive, 0.2, counts)
    bad = ranking_loss(torch.tensor([1.0, 0]), (torch.tensor([5.0, 9]),) * 2, positive, 0.2, counts)
    assert good < 1e-6 < bad
    assert bad == pytest.approx(2 * 4 / 0.2)

    first = SnippetSequence(torch.eye(4)[None].repeat(2, 1, 1), torch.tensor([4, 4]))
    second = SnippetSequence(torch.stack([torch.eye(4), -torch.eye(4)]), torch.tensor([4, 4]))
    scores = lcs_scores(first, second, 0.92)
    assert scores.score.tolist() == [4, 0]
    assert scores.match_share.tolist() == [0.25, 0]
    assert match_cross_entropy(scores, positive, counts) < 1e-5
    assert match_cross_entropy(scores, ~positive, count_pairs(~positive)) > 10


def test_padding_of_sequences_changes_no_score() -> None:
    torch.manual_seed(0)
    short = SnippetSequence(torch.rand(3, 4, 12), torch.tensor([4, 4, 4]))
    other = SnippetSequence(torch.rand(3, 6, 12), torch.tensor([6, 6, 6]))
    padded = SnippetSequence(
        torch.cat([short.snippets, torch.rand(3, 2, 12)], dim=1), short.lengths
    )

    def project(snippets: Tensor) -> Moves:
        return Moves(*snippets.chunk(3, dim=-1))

    torch.testing.assert_close(
        fsd_scores(short, other, project, 0.1), fsd_scores(padded, other, project, 0.1)
    )
    for a, b in zip(lcs_scores(short, other, 0.8), lcs_scores(padded, other, 0.8), strict=True):
        torch.testing.assert_close(a, b)
    assert longest_common_subsequence(torch.ones(1, 4, 4), 0.5).item() == 4


def test_pairs_of_thumos14_are_the_official_ones(golden: Path) -> None:
    values = np.load(golden / "pairs_seed0.npz")
    labels = torch.tensor(values["labels"]).float()
    positive = {(i, j) for i, j in positive_pairs(labels).tolist()}
    negative = {(i, j) for i, j in negative_pairs(labels).tolist()}
    official = [(int(i), int(j)) for i, j in values["pair_list"]]
    assert len(positive) == int(values["n_pos"]) == 861
    assert len(negative) == 18772
    assert positive == set(official[861:])
    assert set(official[:861]) <= negative
    batches = pair_batches(labels)
    assert (len(batches.pairs), len(batches)) == (1722, 108)


def pair_batches(labels: Tensor, resample: bool = False, seed: int = 0) -> PairBatches:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.full((len(labels),), 90)
    return PairBatches(labels, lengths, 10, 16, resample, generator, torch.device("cpu"))


def test_negatives_and_rows_are_drawn_once_or_in_every_epoch() -> None:
    labels = torch.eye(4).repeat(5, 1)
    for resample in (False, True):
        batches = pair_batches(labels, resample)
        first, second = list(batches), list(batches)
        pairs = [
            {tuple(sorted(pair)) for batch in epoch for pair in batch.videos.view(2, -1).T.tolist()}
            for epoch in (first, second)
        ]
        assert (pairs[0] == pairs[1]) is not resample
        rows = [
            {
                video: tuple(row)
                for batch in epoch
                for video, row in zip(batch.videos.tolist(), batch.rows.tolist(), strict=True)
            }
            for epoch in (first, second)
        ]
        assert (rows[0] == rows[1]) is not resample
        assert not first[0].videos.equal(second[0].videos)
        for batch in first:
            one, two = batch.videos.view(2, -1)
            shared = (labels[one] * labels[two]).sum(dim=1)
            assert set(shared.tolist()) <= {0.0, 1.0}


def test_videos_that_share_some_classes_form_no_pair() -> None:
    labels = torch.tensor([[1.0, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]])
    assert positive_pairs(labels).tolist() == [[0, 2]]
    assert negative_pairs(labels).tolist() == [[0, 3], [1, 3], [2, 3]]


def test_a_data_set_without_pairs_is_reported() -> None:
    with pytest.raises(UserError, match="with the same labels; no two of the 3 videos"):
        pair_batches(torch.eye(3))
    with pytest.raises(UserError, match="without a common label; any two of the 3 videos"):
        pair_batches(torch.ones(3, 2))
