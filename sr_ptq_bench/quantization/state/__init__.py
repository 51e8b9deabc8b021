"""The state of a student: everything in which it differs from its teacher, as one safetensors file.

It holds the kind, bits and tensors of every quantizer, and every tensor of the network that a method changed: weights,
biases, norms. Continued runs, `srq verify`, figures and exports read only this file.

The file has one metadata entry, `srq`, with a JSON header (`StateHeader`). Tensors are called `quantizer|SITE|NAME` and
`network|NAME`; NAME is the teacher's name of the tensor.
"""
