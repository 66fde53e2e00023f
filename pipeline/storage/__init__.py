"""What lies on the disk: safe names, digests that show damage, and a cache of computed values."""
