"""Landmarks: named points of each image."""
