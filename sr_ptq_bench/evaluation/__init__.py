"""From images to scores.

May import: basicsr_compat, data, errors, hooks, progress, protocol, quantization, records.
"""
