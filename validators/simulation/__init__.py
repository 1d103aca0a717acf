"""Shell of the simulator: process pools and words for the terminal. The worlds are in `simulator`."""
