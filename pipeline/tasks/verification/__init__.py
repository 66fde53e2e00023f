"""Verification: whether two images are of one identity, and whose an image is."""
