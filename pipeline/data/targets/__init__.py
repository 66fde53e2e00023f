"""Kinds of targets: what is known of an image beside its pixels; one module each."""
