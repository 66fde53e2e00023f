"""Trials: how a search is declared, run, stopped early and written up."""
