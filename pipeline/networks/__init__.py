"""The network language: a YAML list to a plan, and a plan to a torch module."""
