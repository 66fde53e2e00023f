"""The declaration: composed from conf/, checked, and told apart by digests."""
