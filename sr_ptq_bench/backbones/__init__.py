"""Built-in plugins that load networks and name their sites.

May import: basicsr_compat, errors, hooks, quantization, storage, tracing.
"""
