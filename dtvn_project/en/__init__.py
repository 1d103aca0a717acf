"""How English pages write values."""
