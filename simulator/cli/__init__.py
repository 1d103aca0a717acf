"""Shell of the simulator: process pools and terminal output. The worlds are in `simulator`."""
