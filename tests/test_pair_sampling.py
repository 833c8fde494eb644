"""Pairs drawn without a list have the distribution that drawing from the list gives."""

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from dataset.pair_sampling import PairSampler
from dataset.pairs import PairBatches, negative_pairs, positive_pairs

# Two classes alone, some videos with both, one with none of them.
LABELS = torch.tensor([[1, 0, 0]] * 4 + [[0, 1, 0]] * 3 + [[1, 1, 0]] * 2 + [[0, 0, 1]]).float()


def listed(labels: Tensor, kind: str) -> list[tuple[int, int]]:
    pairs = positive_pairs(labels) if kind == "positive" else negative_pairs(labels)
    return [(int(i), int(j)) for i, j in pairs]


@pytest.mark.parametrize("kind", ["positive", "negative"])
@pytest.mark.parametrize("seed", range(5))
def test_all_pairs_are_those_of_the_list(kind: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(40, 6, generator=generator) < 0.2).float()
    labels[torch.arange(40), torch.randint(6, (40,), generator=generator)] = 1
    sampler, wanted = PairSampler(labels), listed(labels, kind)
    assert getattr(sampler, f"num_{kind}") == len(wanted)
    drawn = [tuple(pair) for pair in getattr(sampler, kind)(10**6, generator).tolist()]
    assert sorted(drawn) == sorted(wanted)
    some = [tuple(pair) for pair in getattr(sampler, kind)(len(wanted) // 4, generator).tolist()]
    assert len(set(some)) == len(wanted) // 4
    assert set(some) <= set(wanted)


@pytest.mark.parametrize("kind", ["positive", "negative"])
@pytest.mark.parametrize("count", [1, 3])
def test_every_pair_is_drawn_equally_often(kind: str, count: int) -> None:
    generator, sampler = torch.Generator().manual_seed(0), PairSampler(LABELS)
    frequency = dict.fromkeys(listed(LABELS, kind), 0)
    for _ in range(3000):
        for i, j in getattr(sampler, kind)(count, generator).tolist():
            frequency[i, j] += 1
    assert sum(frequency.values()) == 3000 * count
    assert chisquare(list(frequency.values())).pvalue > 0.001


def test_the_same_seed_draws_the_same_pairs() -> None:
    def epochs(seed: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        lengths = torch.full((len(LABELS),), 9)
        cpu = torch.device("cpu")
        batches = PairBatches(LABELS, lengths, 5, 4, False, generator, cpu, pairs_per_epoch=8)
        assert len(batches) == 2
        return [batch.videos for _ in range(3) for batch in batches]

    first, again, other = epochs(0), epochs(0), epochs(1)
    assert all(a.equal(b) for a, b in zip(first, again, strict=True))
    assert not all(a.equal(b) for a, b in zip(first, other, strict=True))
    assert not first[0].equal(first[2])  # new pairs in every epoch


def test_ten_thousand_videos_take_no_list() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.eye(200)[torch.randint(200, (10_000,), generator=generator)]
    sampler = PairSampler(labels)
    positive, negative = sampler.positive(4800, generator), sampler.negative(4800, generator)
    assert len(positive) == len(negative) == 4800
    assert (labels[positive[:, 0]] == labels[positive[:, 1]]).all()
    assert ((labels[negative[:, 0]] * labels[negative[:, 1]]).sum(dim=1) == 0).all()
