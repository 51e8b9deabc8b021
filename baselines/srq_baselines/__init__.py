"""Baseline methods: every one a plugin of one file."""
