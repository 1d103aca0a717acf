"""REST as plain functions, without Django: from a `Call` to an `Answer`.

    client --HTTP--> mount (key, scope, size) --Call--> body or query as a Struct --> ledger or ordering
           <-------- mount <---------------------Answer---------------------------<-

Two mounts serve them: `validators.rest.http` as views of Django REST framework, over the platform's verified
copy, and `dtvn.api.helper` as ASGI beside a node, over that node's ledger. A mount authenticates, bounds the
body, and waits until its ledger has caught up (R17), in a thread or on an event loop as suits it. A handler
decides nothing about tickets: the log does (R15).

    errors       what is refused, with status and code        answers   envelope, bare value, error
    bodies       shapes of JSON bodies                        queries   shapes of query strings
    writes       routes that change tickets                   reads     routes that read them
    ordering     having operations ordered through a gateway  access    who may call
    times        the log's times on the calendar
"""
