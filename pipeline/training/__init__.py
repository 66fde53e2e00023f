"""Training: from a request for a run to its folder of results."""
