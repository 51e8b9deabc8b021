"""What a plugin may do, and how the host calls it.

May import: data, errors, progress, protocol, quantization, records, syntax.
"""
