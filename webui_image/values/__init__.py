"""What is asked for and what comes back, as plain values: the words that all parts of the web UI share.

Standard library only, so that every part can import it at once; pictures are Pillow images, named in annotations alone.
"""
