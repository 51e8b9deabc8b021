"""One run: prepared, measured, restored, verified.

May import: cache, data, errors, evaluation, hooks, library, progress, protocol, quantization, records, storage.
"""
