"""The virtual world: the same core and pump under a virtual clock, network and disk."""
