"""The configuration file as frozen models."""
