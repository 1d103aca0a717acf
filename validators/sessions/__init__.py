"""Sessions of people: kept by the hash of their key, ended when idle, listed for their owner."""
