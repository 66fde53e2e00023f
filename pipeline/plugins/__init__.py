"""Plugins: thin adapters that Hydra loads; the work is done in the other packages."""
