"""Files that members and tools read: the genesis and the hand-overs."""
