"""What predict.py does: predicts every input, or exports the network."""

import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from eval.scores import VideoScores
from prediction.feature_inputs import read_durations, read_feature_inputs
from prediction.inputs import Input, find_inputs
from prediction.loading import load_predictor
from prediction.options import Options
from prediction.output import check_writable, video_table, write_files
from prediction.predictor import Predictor
from prediction.segments import best_segments
from prediction.video_inputs import extract, make_extractor, save_features
from utils.device import explain_out_of_memory
from utils.errors import UserError
from utils.progress import progress_bar

ADVICE = "a smaller --num_snippets"


class Failures:
    """Prints one line for each input that cannot be predicted, and counts them."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.number = 0

    def __call__(self, message: str) -> None:
        self.number += 1
        print(f"{self.program}: error: {message}", file=sys.stderr, flush=True)


def run(options: Options, program: str) -> int:
    """Predicts or exports.

    Returns:
        Exit status: 0; 1 if some of the inputs cannot be predicted, 2 if none can.
    """
    check_writable(options.json, options.csv, options.export)
    predictor = load_predictor(options.checkpoint, options.class_names, **options.settings)
    failures = Failures(program)
    inputs, problems = find_inputs(options.inputs)
    for problem in problems:
        failures(problem)
    if options.export:
        return _export(options, predictor, inputs, failures)
    print(f"computing on {predictor.device}", flush=True)
    with explain_out_of_memory(predictor.device, ADVICE):
        scores = _predict_all(options, predictor, inputs, failures)
    segments = best_segments(predictor.localize(scores), options.top, options.min_score)
    if scores:
        seconds = predictor.config.snippet_seconds
        write_files(options.json, options.csv, options.figure, scores, segments, seconds)
    total = len(scores) + failures.number
    if failures.number and total > 1:
        print(f"{failures.number} of {total} inputs could not be predicted", file=sys.stderr)
    return 0 if not failures.number else 1 if scores else 2


def _predict_all(
    options: Options, predictor: Predictor, inputs: Sequence[Input], fail: Failures
) -> list[VideoScores]:
    """Scores of all inputs that can be predicted, in their order; prints the table of each."""
    features = [each for each in inputs if not each.is_video]
    videos = [each for each in inputs if each.is_video]
    # Opened first: whatever is wrong with the weights is to be said at once.
    extractor = make_extractor(options, predictor) if videos else None
    found: dict[str, VideoScores] = {}
    of_features = _score_features(options, predictor, features, fail)
    of_videos = _score_videos(options, predictor, videos, extractor, fail)
    for video in chain(of_features, of_videos):
        found[video.name] = video
        if not options.quiet:
            print(_table(options, predictor, video), flush=True)
    return [found[each.name] for each in inputs if each.name in found]


def _table(options: Options, predictor: Predictor, video: VideoScores) -> str:
    segments = best_segments(predictor.localize([video]), options.top, options.min_score)
    seconds = video.seconds(predictor.config.snippet_seconds)
    return video_table(video, segments, seconds, options.top, options.sort)


def _score_features(
    options: Options, predictor: Predictor, inputs: Sequence[Input], fail: Failures
) -> list[VideoScores]:
    """Scores of feature files, in batches of similar length as in the evaluation."""
    durations = read_durations(options.durations, [each.name for each in inputs])
    if options.durations and predictor.config.snippet_timing == "duration":
        for each in inputs:
            if durations.get(each.name) is None:
                fail(f"{each.path}: {options.durations} does not give its duration in seconds")
        inputs = [each for each in inputs if durations.get(each.name) is not None]
    names, features = read_feature_inputs(inputs, predictor, fail)
    if features is None:
        return []
    split = predictor.split(names, features, durations)
    with progress_bar(len(names), "video", "scoring") as bar:
        scores = predictor.score(split, bar.update)
    return [video for video in scores if _is_usable(predictor, video, fail)]


def _score_videos(
    options: Options,
    predictor: Predictor,
    inputs: Sequence[Input],
    extractor: Any,
    fail: Failures,
) -> Iterator[VideoScores]:
    """Yields the scores of videos one by one, since each may take minutes."""
    for number, each in enumerate(inputs, 1):
        try:
            features = extract(extractor, each.path, f"{each.name} ({number} of {len(inputs)})")
            if options.save_features:
                save_features(options.save_features, each.name, features)
            # Their times follow from the frame rate and the stride at which they were computed.
            (video,) = predictor.score(predictor.split_of_arrays({each.name: features}))
        except UserError as error:
            fail(str(error))
            continue
        if _is_usable(predictor, video, fail):
            yield video


def _is_usable(predictor: Predictor, video: VideoScores, fail: Failures) -> bool:
    if problem := predictor.problem(video):
        fail(problem)
    return not problem


def _export(options: Options, predictor: Predictor, inputs: Sequence[Input], fail: Failures) -> int:
    """Exports the network and checks it, with the snippets of the feature files too."""
    from prediction.onnx_export import export_network  # onnx is optional

    assert options.export is not None
    for each in inputs:
        if each.is_video:
            fail(f"{each.path}: --export is checked with feature files, not with videos")
    files = [each for each in inputs if not each.is_video]
    _, features = read_feature_inputs(files, predictor, fail)
    real = [] if features is None else predictor.sampled(features)
    export_network(predictor, options.export, real)
    return 1 if fail.number else 0
