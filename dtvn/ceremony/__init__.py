"""Steps of ceremonies on the folders of nodes: founding a cluster, attaching a machine, signing and reading
grants, and continuing a cluster that lost too many members (R11)."""
