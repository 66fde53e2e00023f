"""Transfer: weights from elsewhere, levels that stay as they are or learn more slowly, norms folded away."""
