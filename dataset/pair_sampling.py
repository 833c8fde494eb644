"""Random pairs of videos from label sets, without listing all pairs.

Ten thousand videos form about 10^8 pairs. Here pairs are numbered, numbers are drawn without
replacement, and only the drawn ones are decoded: the distribution is that of drawing from the list.

Letters: V videos, C classes, G groups of videos with equal label sets, N drawn pairs.
"""

import torch
from torch import Tensor


class PairSampler:
    """Draws positive pairs (equal label sets) and negative pairs (no class in common).

    Args:
        labels: (V, C) 0/1, at least one class per video.

    Attributes:
        num_positive, num_negative: Numbers of all such pairs.
    """

    def __init__(self, labels: Tensor) -> None:
        self.sets, group, self.size = torch.unique(
            labels.float(), dim=0, return_inverse=True, return_counts=True
        )  # (G, C), (V,), (G,)
        self.videos = group.argsort(stable=True)  # group by group
        self.first = self.size.cumsum(0) - self.size  # (G,) where a group begins among them
        self.positive_ends = (self.size * (self.size - 1) // 2).cumsum(0)
        # Negative partners of a video of each group; each pair is counted from both of its videos.
        partners = torch.stack([self._partners(g).sum() for g in range(len(self.size))])
        self.negative_ends = (self.size * partners).cumsum(0)
        self.num_positive = int(self.positive_ends[-1])
        self.num_negative = int(self.negative_ends[-1]) // 2

    def positive(self, count: int, generator: torch.Generator) -> Tensor:
        """(N, 2) int64, distinct pairs i < j in random order; N = min(count, num_positive)."""
        number = _distinct(self.num_positive, count, generator)
        group, number = _locate(number, self.positive_ends)
        # Pair k of a group is (i, j) where j is the largest integer with j (j - 1) / 2 <= k.
        j = ((1 + (1 + 8 * number.double()).sqrt()) / 2).long()
        j -= (j * (j - 1) // 2 > number).long()  # where the square root was rounded up
        j += (j * (j + 1) // 2 <= number).long()  # or down
        i = number - j * (j - 1) // 2
        return self._pairs(self.first[group] + i, self.first[group] + j)

    def negative(self, count: int, generator: torch.Generator) -> Tensor:
        """(N, 2) int64, distinct pairs i < j in random order; N = min(count, num_negative)."""
        wanted = min(count, self.num_negative)
        found = torch.empty(0, 2, dtype=torch.int64)
        while len(found) < wanted:  # both numbers of a pair may be drawn, so a few are missing
            more = self._negative(_distinct(2 * self.num_negative, 2 * wanted, generator))
            found = _first_of_equal(torch.cat([found, more]), len(self.videos))
        return found[:wanted]

    def _negative(self, number: Tensor) -> Tensor:
        """Decodes numbers below 2 * num_negative."""
        group, number = _locate(number, self.negative_ends)
        one, other = torch.empty_like(number), torch.empty_like(number)
        for g in group.unique().tolist():
            mine = group == g
            ends = self._partners(g).cumsum(0)
            member, number_of_partner = number[mine] // ends[-1], number[mine] % ends[-1]
            partner_group, place = _locate(number_of_partner, ends)
            one[mine] = self.first[g] + member
            other[mine] = self.first[partner_group] + place
        return self._pairs(one, other)

    def _partners(self, group: int) -> Tensor:
        """(G,) number of videos of each group that have no class in common with this group."""
        return self.size * (self.sets @ self.sets[group] == 0)

    def _pairs(self, one: Tensor, other: Tensor) -> Tensor:
        """(N, 2) pairs of videos i < j from their places in the order of the groups."""
        return torch.stack([self.videos[one], self.videos[other]], dim=1).sort(dim=1).values


def _locate(number: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """The interval of each number and its place in it; ends (G,) of the intervals."""
    interval = torch.searchsorted(ends, number, right=True)
    begins = torch.cat([ends.new_zeros(1), ends[:-1]])
    return interval, number - begins[interval]


def _distinct(total: int, count: int, generator: torch.Generator) -> Tensor:
    """min(count, total) distinct integers in [0, total), in random order."""
    if 3 * count >= total:
        return torch.randperm(total, generator=generator)[:count]
    found = torch.empty(0, dtype=torch.int64)
    while len(found) < count:
        more = torch.randint(total, (count + count // 8 + 8,), generator=generator)
        found = _first_of_equal(torch.cat([found, more])[:, None], 1)[:, 0]
    return found[:count]


def _first_of_equal(rows: Tensor, base: int) -> Tensor:
    """The rows (N, 1 or 2) without repetitions, in order of their first occurrence."""
    key = rows[:, 0] if rows.shape[1] == 1 else rows[:, 0] * base + rows[:, 1]
    order = key.argsort(stable=True)
    repeated = torch.zeros(len(key), dtype=torch.bool)
    repeated[order[1:]] = key[order[1:]] == key[order[:-1]]
    return rows[~repeated]
