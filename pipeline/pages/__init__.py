"""Pages: contents and templates of the report."""
