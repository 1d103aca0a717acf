"""Services, one function per operation: the only writers of the platform's tables, for all entry points; and
this process's gateway to the cluster (`network`), through which operations are ordered (`decide`)."""
