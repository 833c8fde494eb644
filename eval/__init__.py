"""Evaluation: scores of a network to segments, mAP at temporal IoU, and the report."""
