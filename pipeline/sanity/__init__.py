"""Checks of a declaration in a minute: why it would not learn, before hours are spent on it."""
