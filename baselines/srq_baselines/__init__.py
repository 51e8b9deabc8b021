"""Baseline methods; each is a plugin of one file."""
