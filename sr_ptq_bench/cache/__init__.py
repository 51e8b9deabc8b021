"""What runs share on this machine, and what a killed run continues from.

May import: errors, progress, quantization, records, storage.
"""
