"""A network on paper: its plan, with shapes and costs, and the plan's tables."""
