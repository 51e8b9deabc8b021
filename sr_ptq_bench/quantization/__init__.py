"""From a full-precision network to a quantized one: sites, quantizers, distributions, the state of a student.

May import: errors, progress, protocol.
"""
