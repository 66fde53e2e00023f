"""Pages: what the report says, and its templates."""
