"""Finds the actions in videos or in feature files, with a trained checkpoint; no annotation needed.

    python predict.py --checkpoint data/THUMOS14/save/ftcl/ftcl/THUMOS_best.pth video.npy
    python predict.py --checkpoint F features/ --json predictions.json --csv segments.csv
    python predict.py --checkpoint F video.mp4 --rgb_weights rgb_imagenet.pt \\
        --flow_weights flow_imagenet.pt --figure timeline.png
    python predict.py --checkpoint F --export net.onnx        (docs/ONNX.md)

In Python, `predict_features` and, for more than one video, `load_predictor`.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prediction.options import parse_options
from utils.errors import command
from utils.interrupts import interrupts_exit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from prediction.predictor import Predictor
    from prediction.segments import PredictedSegment

PROGRAM = "predict.py"
DESCRIPTION = (
    "Finds the actions in videos or feature files with a trained checkpoint. Exits with status 1 "
    "if some of\nthe inputs cannot be predicted, and 2 if none can. Settings are those of the "
    "checkpoint; flags override them."
)


def predict_features(
    checkpoint: str | Path,
    features: "ArrayLike",
    *,
    class_names: str | Path | None = None,
    duration: float | None = None,
    **settings: Any,
) -> "list[PredictedSegment]":
    """Finds the actions in the features of one video.

    >>> import numpy as np
    >>> features = np.load("video_test_0000004.npy")  # (snippets, channels)
    >>> segments = predict_features("THUMOS_best.pth", features)
    >>> for segment in segments[:2]:
    ...     print(f"{segment.label}: {segment.start:.1f} to {segment.end:.1f} s")
    BasketballDunk: 7.7 to 18.8 s
    BasketballDunk: 38.9 to 45.2 s

    Args:
        checkpoint: Checkpoint file of this program or of an official implementation.
        features: (N, D) snippets of the video, made like those of the training.
        class_names: File with the class names in index order, for a checkpoint without them.
        duration: Length of the video in seconds; needed only with `snippet_timing="duration"`.
        settings: Settings by flag of main_thu.py that override those of the checkpoint, such as
            `frames_per_second=30.0` or `device="cpu"`.

    Returns:
        Segments with label, start and end in seconds and score, by descending score.

    Raises:
        UserError: If the checkpoint, the features or a setting cannot be used.
    """
    return load_predictor(checkpoint, class_names, **settings)(features, duration)


def load_predictor(
    checkpoint: str | Path, class_names: str | Path | None = None, **settings: Any
) -> "Predictor":
    """Loads a checkpoint once, to predict many videos: calls of the result are predictions.

    >>> predictor = load_predictor("THUMOS_best.pth", nms_tiou=0.4)
    >>> predictor.classes[:2], predictor.config.snippet_seconds
    (('BaseballPitch', 'BasketballDunk'), 0.64)
    >>> predictor(features)[0].label
    'BasketballDunk'

    Args and errors are those of `predict_features`.
    """
    from prediction.loading import load_predictor as load  # torch takes seconds

    return load(Path(checkpoint), Path(class_names) if class_names else None, **settings)


@command(PROGRAM)
def main() -> None:
    """Checks the flags, then predicts."""
    options = parse_options(PROGRAM, DESCRIPTION)
    with interrupts_exit(PROGRAM):
        from prediction.run import run  # not above: torch takes seconds
    sys.exit(run(options, PROGRAM))


if __name__ == "__main__":
    main()
