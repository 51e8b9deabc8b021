"""Reading and writing of single images; whatever is not plain 8-bit RGB or grey is refused by its header.

Pillow reads the header and proves the file whole; OpenCV decodes the pixels, because BasicSR does and JPEG
decoders differ from each other. Texts, colour profiles and broken metadata decide nothing.
"""
