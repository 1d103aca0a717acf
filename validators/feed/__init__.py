"""The live feed: the rest of the platform learns within milliseconds what the learner applied.

Theory of operation. The learner's rows are the feed. The learner's process only *announces* the applied
sequence (`FeedPublisher`: one small ZeroMQ message after each write of rows, never before: R17), and readers
take the data from the rows:

* `wait_for(sequence, timeout)` lets a view wait until its own write can be read;
* `Relay` turns each announcement into one frame of events for all browsers of this web process.

So no data can be lost: a lost announcement is repaired by the next one, a relay that was away reads what it
missed, an event never refers to a row that cannot be read yet, and a platform without viewers spends nothing
on events.
"""

from validators.feed.progress import ProgressListener, wait_for
from validators.feed.relay import Frame, Relay

__all__ = [
    "Frame",
    "ProgressListener",
    "Relay",
    "wait_for",
]
