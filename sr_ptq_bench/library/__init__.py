"""Published weights and image sets by name: fetched, imported, or missing.

May import: data, errors, progress, protocol, storage.
"""
