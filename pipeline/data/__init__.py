"""From archives of images to batches: facts, sources, splits, prepared arrays."""
