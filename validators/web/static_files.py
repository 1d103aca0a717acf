"""How static files are stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whitenoise.storage import CompressedManifestStaticFilesStorage


class CompressedOnceManifestStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc] # no types
    """Compresses each file under its hashed name only, which is what pages ask for. The other names are for
    the verifier's page, which also runs from a folder."""

    def compress_files(self, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Names of the files, each with that of its compressed copy."""
        hashed = set(self.hashed_files.values())
        yield from super().compress_files([path for path in paths if path in hashed])
