"""Augmentation steps that albumentations lacks, or implements differently from the papers; one module each."""
