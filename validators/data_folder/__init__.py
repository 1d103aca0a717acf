"""What every process of the platform needs before models are loaded: the variables of the environment, the
data folder with its locks and ports, the databases, and the broker with its Celery application."""
