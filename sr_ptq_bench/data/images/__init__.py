"""Reading and writing of single images; the header decides, and only plain 8-bit RGB or grey images are read.

Pillow reads the header and checks that the file is whole; OpenCV decodes the pixels, because BasicSR does so and JPEG
decoders differ. Texts, colour profiles and broken metadata are ignored.
"""
