"""Archives that ship with Convoy, made again to the byte: `python -m pipeline.data.bundled digits data/digits.zip`."""
