"""The settings that turn the scores of a video into segments in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from config.setting import BY_DATASET, group

snippets = group("snippets", in_checkpoint=True)
localization = group("localization: from scores to segments", in_checkpoint=True)


@dataclass(frozen=True, kw_only=True)
class LocalizationSettings:
    """Scores to segments; the defaults of each data set are in `config.datasets`."""

    # fmt: off
    frames_per_second: float = snippets(BY_DATASET, "frame rate of the videos when the features were extracted, frames per second", above=0)
    snippet_frames: int = snippets(BY_DATASET, "stride of the snippets, frames per snippet", at_least=1)
    snippet_timing: str = snippets("stride", "when snippets start: every snippet_frames / frames_per_second seconds (stride), or spread over the duration of the video (duration), for features rescaled to a fixed number of snippets", choices=("stride", "duration"))

    class_threshold: float = localization(BY_DATASET, "a class is localized if its video score exceeds this; if no class does, the highest-scoring one is localized", at_least=0, at_most=1)
    cas_thresholds: tuple[float, ...] = localization(BY_DATASET, "thresholds on the class activation sequence", at_least=0, at_most=1)
    attention_thresholds: tuple[float, ...] = localization(BY_DATASET, "thresholds on the instance attention", at_least=0, at_most=1)
    upsampling: int = localization(20, "steps that a snippet is interpolated to", at_least=1, at_most=1000)
    outer_ratio: float = localization(BY_DATASET, "width of the outer windows of a score, relative to the length of the segment", flag="outer", at_least=0)
    score_cas_weight: float = localization(BY_DATASET, "score of a segment: weight of the class activation sequence", at_least=0)
    score_attention_weight: float = localization(BY_DATASET, "score of a segment: weight of the instance attention", at_least=0)
    score_class_weight: float = localization(BY_DATASET, "weight of the video-level class score added to segments proposed by the attention", at_least=0)
    nms_tiou: float = localization(BY_DATASET, "a detection suppresses others that overlap it with a tIoU above this", at_least=0, at_most=1)
    nms_offset: float = localization(1.0, "seconds added to every length in the NMS: 1 as in the official implementation, 0 for the clean form", choices=(0.0, 1.0))
    # fmt: on

    @property
    def snippet_seconds(self) -> float:
        """Seconds between the starts of neighbouring snippets."""
        return self.snippet_frames / self.frames_per_second


def localization_settings(values: Mapping[str, Any]) -> LocalizationSettings:
    """The localization settings among the values of many settings.

    Args:
        values: Values by field; fields of other settings are ignored, and missing fields keep their
            defaults.
    """
    names = [setting.name for setting in fields(LocalizationSettings)]
    return LocalizationSettings(**{name: values[name] for name in names if name in values})
