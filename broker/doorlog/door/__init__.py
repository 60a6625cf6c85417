"""From an accepted socket to a verdict."""
