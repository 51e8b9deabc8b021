"""Figures of records, distributions, images and sensitivities; `canvas` alone imports matplotlib.

May import: data, errors, protocol, quantization, records, storage, tables.
"""
