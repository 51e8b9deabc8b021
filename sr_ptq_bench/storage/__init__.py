"""Files on disk: whole or absent, locked, read up to a limit.

May import: errors, progress.
"""
