"""What `simulator` prints at its end, in this order."""

RESULT_KEYS = [
    "Total Tickets",
    "Validated Tickets",
    "Consensus Rounds",
    "Successful Rounds",
    "Failed Rounds",
    "Success Rate",
    "Messages Sent",
    "Messages Received",
    "Partition Events",
]
