"""The stages of a run, in the order of docs/design.md.

May import: what `runs` may.
"""
