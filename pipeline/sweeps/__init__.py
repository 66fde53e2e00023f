"""Hyperparameter search: spaces, samplers, the ledger of trials, coarse to fine."""
