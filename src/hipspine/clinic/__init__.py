"""What findings may mean: first whether anything is dangerous, then which structures may be the source."""
