"""The live feed: how the rest of the platform learns, within milliseconds, what the learner applied.

Theory of operation. The learner's rows are the feed. The learner's process only *announces* how far
they are (`FeedPublisher`: one small ZeroMQ message after each write of rows, never before: R17), and
whoever needs more reads it from the rows:

* `wait_for(sequence, timeout)` lets a view wait until its own write can be read;
* `Relay` turns each announcement into one frame of events for all browsers of this web process.

So there is nothing to lose: a lost announcement is repaired by the next one, a relay that was away
reads what it missed, an event never speaks of a row that cannot be read yet, and a platform that
nobody watches spends nothing on events.
"""

from validators.feed.address import feed_address
from validators.feed.progress import ProgressListener, wait_for
from validators.feed.publisher import AnnouncingJournal, FeedPublisher
from validators.feed.relay import Frame, Relay

__all__ = [
    "AnnouncingJournal",
    "FeedPublisher",
    "Frame",
    "ProgressListener",
    "Relay",
    "feed_address",
    "wait_for",
]
