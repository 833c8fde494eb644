"""To be removed: the class names are in `config.datasets`."""

from config.datasets import DATASETS

THUMOS14 = DATASETS["THUMOS"].classes
CLASS_NAMES = {name: spec.classes for name, spec in DATASETS.items()}
