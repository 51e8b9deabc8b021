"""Built-in plugins that load a network and name its quantizer sites."""
