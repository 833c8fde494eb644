"""Temporal action detection: mAP at temporal IoU and error analysis of any method's predictions.

`python -m eval.detection` evaluates a prediction file, `eval.detection.notebook.score_arrays`
arrays in a notebook. Nothing is imported here, so that the command starts quickly.
"""
