"""Serves HTTP and WebSockets: reading requests within bounds, handing them to threads, middleware."""
