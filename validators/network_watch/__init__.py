"""Who hears whom: what the page Network, the API and the metrics show of it.

hearing         one look at all members, from their own statuses (pure)
silence         who waits too long for whom, by a PartitionWatch for each member (pure)
spans           the last hour of every ordered pair, in bounded memory (pure)
deciding        who is known to have a quorum, and who may have one (pure)
cuts            groups and sentences (pure)
own_processes   members of this platform whose process has ended, or hangs
history         the cuts of the last day, as rows
watch           of this process: a look every second
feed            a frame for pages when something changes
"""
