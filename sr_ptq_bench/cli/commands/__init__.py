"""The commands of `srq`: a file or a room for each, imported only when it is called.

May import: every room.
"""
