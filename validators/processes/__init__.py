"""Process life: what `make up` starts, watches, restarts and ends.

One foreground process (`supervisor`) holds the data folder, starts the web process and the Celery
workers, and runs `reconcile`, which compares the wish for each node with the facts. A node is a
Celery task that holds a worker slot (`node_task`); a slot lock says which process it is (`facts`).
"""
