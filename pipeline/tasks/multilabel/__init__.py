"""Multilabel: any number of labels per image."""
