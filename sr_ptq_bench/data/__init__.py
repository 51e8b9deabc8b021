"""Images, datasets and the generation of LR images."""
