"""The platform's data folder: its paths, the locks in it, and the ports of its nodes."""
