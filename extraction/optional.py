"""Imports the packages that only the extraction needs."""

import importlib
from typing import Any

from utils.errors import UserError

PACKAGES = {"av": "av", "cv2": "opencv-contrib-python-headless"}


def optional_import(module: str) -> Any:
    """Imports PyAV ("av") or OpenCV ("cv2").

    Raises:
        UserError: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{PACKAGES[module]} cannot be imported ({error}); install the packages that reading "
            "videos needs: pip install -r requirements-extraction.txt"
        ) from None
