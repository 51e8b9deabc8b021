"""Many runs: a grid becomes cells, an engine measures those that are missing.

May import: errors, hooks, progress, protocol, records, runs, storage.
"""
