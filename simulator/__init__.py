"""The virtual world: the product's own core and pump under a virtual clock, network and disk."""
