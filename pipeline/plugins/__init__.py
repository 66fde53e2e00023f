"""Plugins: thin classes that Hydra loads; the work is done in the rooms."""
