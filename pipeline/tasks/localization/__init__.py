"""Localization: one object per image or none, with its class and box."""
