"""Process management: what `make up` starts, watches, restarts and ends.

One foreground process (`supervisor`) holds the data folder, starts the web process and the Celery workers,
and runs `reconcile`, which compares the desired with the actual state of each node. A node is a Celery task
that holds a worker slot (`node_task`); a slot lock shows which process it is (`locks`).
"""
