"""Figures of records, distributions, images and sensitivities; matplotlib is imported by `canvas` alone."""
