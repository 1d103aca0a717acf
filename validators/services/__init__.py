"""One verb, one function: the only writers of the platform's tables, for every entrance."""
