"""What a run leaves, as data and as files. No torch.

May import: errors, progress, protocol, storage.
"""
