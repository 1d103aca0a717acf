"""Django's PostgreSQL backend, for a server that may hang: ENGINE of the platform's own aliases."""
