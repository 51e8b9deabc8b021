"""Limits that the command line names in its help, which must load nothing slow."""

LARGEST_SEED = 2**63 - 1
"""The largest seed that torch takes."""
