"""Reads the feature files that are to be predicted, and the durations of their videos."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from dataset.annotations import read_database
from dataset.features.files import FeatureFile, find_feature_file
from dataset.features.reading import map_features, read_features
from dataset.features.store import Features
from dataset.from_config import feature_form
from dataset.numbers import number_of
from dataset.video_names import composed, match_names
from prediction.inputs import Input
from prediction.predictor import Predictor
from utils.errors import Problems, UserError
from utils.files import read_json


def read_feature_inputs(
    inputs: Sequence[Input], predictor: Predictor, fail: Callable[[str], object]
) -> tuple[list[str], Features | None]:
    """Checks feature files completely and maps them.

    Args:
        inputs: Feature files.
        predictor: Network for which they are meant.
        fail: Receives one line about each file that cannot be used.

    Returns:
        Names of the videos that can be used, and their features; None if there are none.
    """
    files = []
    for each in inputs:
        try:
            files.append(_checked(each, predictor))
        except UserError as error:
            fail(str(error))
    if not files:
        return [], None
    row_type = predictor.device.storage_dtype
    store = map_features(files, predictor.config.num_workers, row_type)
    return [file.name for file in files], store


def _checked(each: Input, predictor: Predictor) -> FeatureFile:
    """The file, after all of its values were read once."""
    file = find_feature_file(each.name, each.path, feature_form(predictor.config))
    if file.shape[1] != predictor.feature_dim == file.shape[0]:
        print(
            f"warning: {each.path} is transposed: it has {file.shape[0]} rows, as many as the "
            "network wants channels, and is read as (snippets, channels)"
        )
        file = file.transposed()
    if problem := predictor.width_problem(file.shape):
        raise UserError(f"{each.path} {problem}")
    problems = Problems()
    read_features(
        [file],
        resident=False,
        workers=predictor.config.num_workers,
        problems=problems,
        on_block=lambda block: None,
        on_file=lambda: None,
    )
    if problems.messages:
        raise UserError(problems.messages[0])
    return replace(file, name=each.name)


def read_durations(path: Path | None, names: Sequence[str]) -> dict[str, float | None]:
    """Durations of videos in seconds.

    Args:
        path: Annotation file, or JSON {video: seconds}; None for none.
        names: Names of the videos; they may differ from those of the file in the prefix `v_`.

    Raises:
        UserError: If the file cannot be read or has another form.
    """
    if path is None:
        return {}
    content = read_json(path, "duration")
    if (
        isinstance(content, dict)
        and content
        and not any(isinstance(v, dict) for v in content.values())
    ):
        durations = {composed(name): number_of(value) for name, value in content.items()}
        for name, seconds in durations.items():
            if seconds is None or seconds <= 0:
                raise UserError(f"duration file {path}, {name}: wanted a number of seconds above 0")
    else:
        database = read_database(path, say=lambda line: None)
        durations = {name: video.duration for name, video in database.items()}
    return {name: durations[known] for name, known in match_names(names, durations).items()}
