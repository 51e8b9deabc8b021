"""Pictures and sites of the students of stored states, one student in memory at a time.

May import: data, errors, evaluation, plots, quantization, progress, protocol, records, runs.
"""
