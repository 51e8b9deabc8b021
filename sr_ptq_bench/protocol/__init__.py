"""What is fixed before a run: bits, suites, the run as the user asks for it. No torch.

May import: errors, storage.
"""
