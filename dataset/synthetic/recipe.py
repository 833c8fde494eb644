"""The arguments that determine a synthetic data set."""

from dataclasses import dataclass

from config.datasets import DATASETS
from utils.errors import UserError

CLASSES = DATASETS["THUMOS"].classes


@dataclass(frozen=True)
class Recipe:
    """The arguments of `write_dataset` that determine every byte; a wrong one is a UserError."""

    train_videos: int
    test_videos: int
    classes: int
    mean_seconds: float
    context: float
    noise: float
    seed: int
    dtype: str

    def __post_init__(self) -> None:
        for name, low, high in (
            ("classes", 1, len(CLASSES)),
            ("train_videos", self.classes, 100_000),
            ("test_videos", self.classes, 100_000),
            ("mean_seconds", 10, 1000),
            ("context", 0, 1),
            ("noise", 0, 10),
            ("seed", 0, 2**32 - 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                why = " (at least one video per class)" if name.endswith("videos") else ""
                raise UserError(f"--{name} is {value}; it must lie between {low} and {high}{why}")
        if self.dtype not in ("float16", "float32"):
            raise UserError(f"--dtype is {self.dtype}; it must be float16 or float32")
