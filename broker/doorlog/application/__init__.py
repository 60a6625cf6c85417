"""The command line and what it starts: the only room that knows all others."""
