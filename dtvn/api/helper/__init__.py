"""A node's own REST and WebSocket, in a helper process beside the node.

    client --HTTP--> front (key, origin, CORS, counting) -> routes -> reads:  the node's ledger, read-only
                                                                   -> writes: a gateway, f + 1 receipts
    node   --channel: its status, once a second-->          helper --counts of requests--> node's metrics

Theory of operation. The node's loop only sends a status message per second; everything else is read from the
node's durable data, in this process and on its CPU time. Operations are ordered like those of any client:
signed by the principal of this node's API, with the node as entry, and reported as done when f + 1 members
confirm. Live events are the ledger's rows as they appear, so each is sent once, and not before it can be
read. The process ends with its node, because the channel closes.
"""
