"""Services, one function per operation: the only writers of the platform's tables, for all entry points."""
