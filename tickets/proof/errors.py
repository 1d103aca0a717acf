"""What a verifier says when it believes nothing."""

__all__ = ["ProofError"]


class ProofError(ValueError):
    """A file that proves nothing; the text is a sentence for people without the full stop."""
