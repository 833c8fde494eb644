"""Which pairs of videos the figure of the alignments shows."""

from collections.abc import Callable, Collection, Sequence

from dataset.video_names import look_alikes, match_names
from utils.errors import UserError


def default_pairs(
    classes: Sequence[Collection[str]], lengths: Sequence[int], least: int
) -> list[tuple[int, int]]:
    """The first positive pair in the order of the videos, and a negative one with its first video.

    Pairs with equal classes come before those that only share a class, and videos with enough
    snippets before shorter ones.

    Args:
        classes: Classes of each video.
        lengths: Number of snippets of each video.
        least: Number of snippets that are enough.

    Returns:
        Indices of the videos of each pair; the negative pair, or both, may be missing.
    """
    sets = [frozenset(names) for names in classes]
    every = range(len(sets))
    enough = [i for i in every if lengths[i] >= least]

    def first_pair(fits: Callable[[frozenset[str], frozenset[str]], bool]) -> list[tuple[int, int]]:
        for usable in (enough, every):
            for place, i in enumerate(usable):
                for j in usable[place + 1 :]:
                    if fits(sets[i], sets[j]):
                        return [(i, j)]
        return []

    positive = first_pair(lambda one, other: bool(one) and one == other)
    positive = positive or first_pair(lambda one, other: bool(one & other))
    if not positive:
        return []
    first = positive[0][0]
    others = [j for j in [*enough, *every] if sets[j] and not sets[first] & sets[j]]
    return [*positive, *((first, j) for j in others[:1])]


def named_pairs(wanted: Sequence[str], names: Sequence[str], split: str) -> list[tuple[int, int]]:
    """The pairs of the first named video with each of the others.

    Args:
        wanted: Two or three names of videos.
        names: Names of all videos of the split.
        split: Name of the split, for messages.

    Raises:
        UserError: If a name is not that of a video of the split, or if one is given twice.
    """
    found = match_names(wanted, names)
    unknown = [name for name in wanted if name not in found]
    if unknown:
        other = "train" if split == "test" else "test"
        raise UserError(
            f"--videos {' '.join(unknown)}: not among the {len(names)} videos of the {split} "
            f"split ({look_alikes(unknown, names)}); correct the name or give --split {other}"
        )
    places = [names.index(found[name]) for name in wanted]
    if len(set(places)) < len(places):
        raise UserError(f"--videos {' '.join(wanted)}: wanted different videos")
    return [(places[0], other) for other in places[1:]]
