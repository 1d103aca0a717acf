"""The error of a verifier that does not accept a proof."""


class ProofError(ValueError):
    """A file that proves nothing; the text is a sentence for the user without its full stop."""
