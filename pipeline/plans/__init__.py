"""The plan of a network, with shapes and costs, and tables of it."""
