"""From records to pages. No torch.

May import: errors, library, protocol, records, storage.
"""
