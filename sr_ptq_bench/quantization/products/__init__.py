"""The products of tensors in a network's own code, found and quantized without a change of the code.

A mode of torch sees every call of a function during a forward pass; hooks know which module is running. A
product is named by its module and its number among the products of one call of that module (`attn.matmul0`). Its
operands are `a` and `b`, left and right. `scaled_dot_product_attention` is two products.
"""
