"""A static site made from records, for a browser; `pages` alone imports jinja2. No torch.

May import: errors, gallery, plots, progress, protocol, records, storage, tables.
"""
