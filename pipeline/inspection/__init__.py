"""What `python -m pipeline.inspect` does: find the format of a data set, look at every image, advise and declare."""
