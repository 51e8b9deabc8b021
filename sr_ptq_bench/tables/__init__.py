"""From records to pages. No torch.

May import: data, errors, library, protocol, records, storage.
"""
