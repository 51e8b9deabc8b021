"""Writes the package of a new method, ready to be installed.

May import: errors, hooks.
"""
