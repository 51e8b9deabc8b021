"""People's own photos upscaled by a network: files in, files of the same kind out.

May import: data, errors, evaluation, progress, protocol, quantization, records, runs, storage.
"""
