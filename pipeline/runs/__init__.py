"""Runs: context, folder, lock, and the cache of stage results."""
