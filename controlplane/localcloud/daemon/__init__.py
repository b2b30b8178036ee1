"""The daemon: one process that holds the whole local cloud, and the files by which it is found again."""
