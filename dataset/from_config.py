"""The data directory that the settings of a run describe."""

from typing import Any

from config.model_config import Config
from dataset.classes import Classes
from dataset.features.files import FeatureForm
from dataset.labels import make_label_reader
from dataset.timing import SnippetTiming


def feature_form(config: Config) -> FeatureForm:
    """How the settings say that feature arrays are read."""
    return FeatureForm(config.feature_axes, flow_first=config.channel_order == "flow_rgb")


def reading_options(config: Config, classes: Classes) -> dict[str, Any]:
    """The keyword arguments of `read_dataset` and `find_data` that follow from the settings.

    Args:
        config: Settings.
        classes: Classes of the experiment.
    """
    return {
        "classes_from": classes.source,
        "timing": SnippetTiming(
            config.snippet_frames,
            config.frames_per_second,
            from_duration=config.snippet_timing == "duration",
        ),
        "label_reader": make_label_reader(
            config.label_aliases,
            config.class_names,
            (*config.spec.ignored_labels, *config.ignore_labels),
            classes.names,
        ),
        "strict": config.strict,
        "subsets": {"train": config.spec.train_subset, "test": config.spec.test_subset},
        "blocked_videos": config.blocked_videos,
        "layout": config.layout,
        "form": feature_form(config),
    }
