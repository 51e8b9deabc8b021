"""What forward passes show of any network: its layers, its products of two tensors, and what made their inputs.

May import: errors, protocol, quantization.
"""
