"""Torch modules of the network language that torch does not provide; plans refer to them by name."""
