"""The video-level mAP equals that of scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from eval.classification import classification_map


@pytest.mark.parametrize("levels", [3, 20, 10**6])  # with few levels, many scores are equal
@pytest.mark.parametrize("seed", range(10))
def test_equals_scikit_learn(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    videos, classes = (int(n) for n in rng.integers(1, 60, 2))
    labels = (rng.random((videos, classes)) < rng.choice([0.1, 0.5, 1.0])).astype(np.float32)
    labels[0, 0] = 1
    scores = (rng.integers(0, levels, labels.shape) / levels).astype(np.float32)
    occurring = labels.any(axis=0)
    wanted = average_precision_score(labels[:, occurring], scores[:, occurring])
    assert classification_map(scores, labels) == pytest.approx(wanted, rel=1e-14)


def test_by_hand() -> None:
    scores = np.array([[0.9, 0.5], [0.8, 0.5], [0.7, 0.5], [0.6, 0.5]])
    labels = np.array([[1, 0], [0, 0], [1, 1], [0, 0]])
    # Found at ranks 1 and 3: (1 + 2 / 3) / 2. All equal: one of four.
    assert classification_map(scores, labels) == pytest.approx(((1 + 2 / 3) / 2 + 1 / 4) / 2)


def test_without_a_class_that_occurs() -> None:
    assert np.isnan(classification_map(np.zeros((2, 3)), np.zeros((2, 3))))
