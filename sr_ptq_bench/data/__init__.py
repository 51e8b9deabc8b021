"""Images in: reading, pairing, resizing, cutting patches.

May import: basicsr_compat, errors, protocol, storage.
"""
