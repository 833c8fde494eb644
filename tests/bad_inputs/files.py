"""Mistakes in checkpoints and prediction files."""

import math
import os
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from tests.bad_inputs.case import DETECTION, RESUME, TEST, BadInput, cut, edit, put

GOOD, LATEST, PREDICTIONS = "good.pth", "done/THUMOS_latest.pth", "pred.json"
NAME = "video_test_0000000"


Tested = partial(BadInput, flags=TEST)
Resumed = partial(BadInput, flags=RESUME)
Scored = partial(BadInput, program=DETECTION)


class Payload:
    """Unpickling an object of this class makes a folder, in stead of doing harm."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def checkpoint(path: str, change: Callable[[dict[str, Any]], object]) -> Callable[[], object]:
    """Changes the content of a checkpoint."""

    def apply() -> None:
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)

    return apply


def weight(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], object]:
    """Changes one weight of the checkpoint to be tested."""

    def apply(content: dict[str, Any]) -> None:
        weights = content["model_state_dict"]
        weights["att_branch.bias"] = change(weights["att_branch.bias"])

    return checkpoint(GOOD, apply)


def settings(**values: Any) -> Callable[[], object]:
    """Changes settings in the checkpoint to be tested."""
    return checkpoint(GOOD, lambda content: content["config"].update(values))


def payload() -> None:
    torch.save({"model_state_dict": {"w": Payload()}}, GOOD)


def rename(content: dict[str, Any]) -> None:
    weights = content["model_state_dict"]
    weights["other.bias"] = weights.pop("att_branch.bias")


def without_optimizer() -> None:
    os.replace("done/THUMOS_best.pth", LATEST)


def other_optimizer() -> None:
    """The optimizer's averages of the gradient get another shape."""

    def change(content: dict[str, Any]) -> None:
        for values in content["optimizer"]["state"].values():
            values["exp_avg"] = torch.zeros(7)

    checkpoint(LATEST, change)()


def other_features() -> None:
    path = f"data/test/{NAME}.npy"
    np.save(path, np.load(path) + 1)


def detection(**values: Any) -> Callable[[], object]:
    """Changes the first detection of a prediction file; `...` drops a key."""

    def apply(content: dict[str, Any]) -> None:
        first = content["results"][NAME][0] | values
        content["results"][NAME][0] = {k: v for k, v in first.items() if v is not ...}

    return edit(PREDICTIONS, apply)


def results(value: Any) -> Callable[[], object]:
    """Puts other results into a prediction file."""
    return edit(PREDICTIONS, lambda content: content.update(results=value))


CHECKPOINTS = [
    BadInput("no such file", "--test --checkpoint none.pth"),
    BadInput("a folder", "--test --checkpoint data"),
    Tested("empty", spoil=put(GOOD)),
    Tested("cut off", spoil=cut(GOOD, 500)),
    Tested("text", spoil=put(GOOD, "no checkpoint at all")),
    Tested("a pickle that would run code", spoil=payload),
    Tested("the same in the old form", spoil=put(GOOD, pickle.dumps(Payload()))),
    Tested("another form", spoil=lambda: torch.save({"state": 1}, GOOD)),
    Tested("of another network, or of other features", spoil=weight(lambda w: w[:2])),
    Tested("a weight under another name", spoil=checkpoint(GOOD, rename)),
    Tested("integers for weights", spoil=weight(lambda w: w.long())),
    Tested("NaN for a weight", spoil=weight(lambda w: w * torch.nan)),
    Tested("settings out of range", spoil=settings(upsampling=0)),
    Tested("settings of another kind", spoil=settings(cas_thresholds="high")),
    Tested("a data set of another kind", spoil=settings(dataset=[])),
    Tested("no settings in their place", spoil=checkpoint(GOOD, lambda c: c.update(config=3))),
    Resumed("`--resume` from one for evaluation only", spoil=without_optimizer),
    Resumed("`--resume` from one that is cut off", spoil=cut(LATEST, 500)),
    Resumed("`--resume` with an optimizer of another network", spoil=other_optimizer),
    Resumed("`--resume` after a change of the features", spoil=other_features),
]

PREDICTION_FILES = [
    Scored("no such file", "--predictions none.json"),
    Scored("a folder", "--predictions data"),
    Scored("empty", spoil=put(PREDICTIONS)),
    Scored("cut off", spoil=cut(PREDICTIONS, 30)),
    Scored("not UTF-8", spoil=put(PREDICTIONS, b"\xff\xfe")),
    Scored("nested without end", spoil=put(PREDICTIONS, "[" * 100_000)),
    Scored("a number of 5,000 digits", spoil=put(PREDICTIONS, "9" * 5000)),
    Scored("another form", spoil=put(PREDICTIONS, '{"database": {}}')),
    Scored("detections of a video that are no list", spoil=results({NAME: {}})),
    Scored("a detection that is no object", spoil=results({NAME: [5]})),
    Scored("a video name that is not Unicode", spoil=results({"\ud800": []})),
    Scored("no video of the annotations", spoil=results({"another": []})),
    Scored("no label", spoil=detection(label=...)),
    Scored("no score", spoil=detection(score=...)),
    Scored("no segment", spoil=detection(segment=...)),
    Scored("a label that is a number", spoil=detection(label=5)),
    Scored("a label with control characters", spoil=detection(label="a\x1b[2J")),
    Scored("a segment of one time", spoil=detection(segment=[1])),
    Scored("a time that is a word", spoil=detection(segment=[1, "2"])),
    Scored("a segment before the start of the video", spoil=detection(segment=[-1, 2])),
    Scored("a segment that ends before it starts", spoil=detection(segment=[3, 2])),
    Scored("NaN as a time", spoil=detection(segment=[1, math.nan])),
    Scored("NaN as a score", spoil=detection(score=math.nan)),
    Scored("a score beyond every number", spoil=detection(score=10**400)),
    Scored("a score that is a word", spoil=detection(score="high")),
]
