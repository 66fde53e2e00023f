"""Preprocessing and augmentation; the only importer of albumentations."""
