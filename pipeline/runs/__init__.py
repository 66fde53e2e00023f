"""Runs: settings, fingerprint, folder, lock, and results found by key."""
