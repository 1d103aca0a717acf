"""A node's own REST and WebSocket (spec 1 and 2), in a helper process beside the node.

    client --HTTP--> front (key, origin, CORS, counting) -> routes -> reads:  the node's ledger, read-only
                                                                   -> writes: a gateway, f + 1 receipts
    node   --channel: how it is now, once a second-->      helper --counts of requests--> node's metrics

Theory of operation. The node's loop gives nothing but a status line a second; everything else is read from
what the node made durable, in this process and on its clock. Operations are ordered like anybody else's:
signed by the key of a principal of this node's API, with the node as their entry, and told to be done when
f + 1 members say so. Live events are the ledger's rows as they appear, so each is told once and none
before it can be read. The process ends with its node: the channel does.
"""
