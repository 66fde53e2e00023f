"""Restoration: images without what degraded them."""
