"""Kinds of targets, such as labels and masks; one module each."""
