"""One JSON line for each event."""
