"""A run from Python, shown in a notebook: what `srq run` does, with the same words.

May import: data, errors, evaluation, hooks, plots, progress, protocol, quantization, records, runs, storage.
"""
