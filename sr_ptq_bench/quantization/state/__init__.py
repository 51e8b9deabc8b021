"""The state of a student: everything in which it differs from its teacher, as one safetensors file.

These are the kind, bits and tensors of every quantizer, and every tensor of the network that a method changed: weights,
biases, norms. A run that was killed, `srq verify`, figures and exports read this file and nothing else.

The file has one metadata entry, `srq`, with a JSON header (`StateHeader`). Tensors are called `quantizer|SITE|NAME` and
`network|NAME`, where NAME is that of the teacher.
"""
