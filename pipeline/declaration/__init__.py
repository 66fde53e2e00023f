"""The declaration: composed from conf/, checked, typed, and identified by digests."""
