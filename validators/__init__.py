"""The cluster's platform side: the Django app with its models, services, pages, processes and ledgers."""
