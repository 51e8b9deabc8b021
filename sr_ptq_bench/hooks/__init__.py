"""What a plugin may do, and asking it.

May import: data, errors, progress, protocol, quantization, records, syntax.
"""
