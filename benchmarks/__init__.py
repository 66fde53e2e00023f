"""What measures how fast the pipeline is: `make bench`."""
