"""Figures of records, distributions, images and sensitivities; `canvas` alone imports matplotlib.

May import: data, errors, quantization, records, storage, tables.
"""
