"""Transfer learning: pretrained weights, frozen levels, learning rates per level; also norm folding for export."""
