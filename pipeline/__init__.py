"""Convoy: declarative experiments with convolutional networks."""
