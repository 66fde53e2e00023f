"""Axis-parallel boxes: overlap, non-maximum suppression, anchors and average precision; knows no task."""
