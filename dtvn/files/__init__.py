"""Files that members and tools read: the genesis and the epoch change proofs; and writing any file whole."""
