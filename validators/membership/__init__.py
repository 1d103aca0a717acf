"""Changes of the cluster's members and parameters: prepared, ordered and applied by the platform."""
