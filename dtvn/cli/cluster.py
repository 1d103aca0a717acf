"""A cluster as the judge of one stream, for commands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dtvn.cli.platform import PlatformError, api_key
from dtvn.cli.sources import SourceError
from dtvn.events.advice import Profile
from dtvn.events.rules import Verdict

if TYPE_CHECKING:
    from dtvn.proxy import Judgement

PATIENCE_SECONDS = 30.0
"""Most seconds for one call of the platform with its repetitions."""


class Cluster:
    """Judges one stream through the REST API of a platform. A context manager."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options`: cluster (the platform's address), algorithm, profile, drop_unknown. Raises
        SourceError."""
        try:
            from dtvn.proxy import ClusterJudge
        except ImportError as error:
            raise SourceError(f"--cluster needs {error.name}: pip install 'dtvn[events]'") from None
        self.scope = ""
        """Name of the newest certificate, "" without one."""
        self._loop = asyncio.Runner()
        self._judgement: Judgement | None = None
        try:
            self._judge = ClusterJudge(
                options["cluster"],
                key=api_key(),
                algorithm=options["algorithm"],
                # The profile of the Go package drops nothing that it does not know.
                drop_unknown=options["drop_unknown"] or options["profile"] != Profile.SEED,
                # Only the one who runs the agent has its runs recorded in the log.
                recorded=False,
                patience=PATIENCE_SECONDS,
            )
        except (ValueError, PlatformError) as error:
            raise SourceError(str(error)) from None

    def judge(self, texts: Sequence[bytes]) -> Sequence[Verdict]:
        """The verdict on each of the stream's next events. Raises SourceError."""
        from dtvn.proxy import NoVerdict

        try:
            return self._loop.run(self._judged(texts))
        except NoVerdict as error:
            raise SourceError(str(error)) from None
        except KeyboardInterrupt:
            raise SourceError("stopped before the cluster had judged") from None

    async def _judged(self, texts: Sequence[bytes]) -> Sequence[Verdict]:
        if self._judgement is None:
            self._judgement = await self._judge.open()
        verdicts = await self._judgement.judge(texts)
        self.scope = self._judgement.scope
        return verdicts

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.run(self._closed())
        self._loop.close()

    async def _closed(self) -> None:
        from dtvn.proxy import CLOSING_SECONDS, NoVerdict

        if self._judgement is not None:
            with suppress(NoVerdict, TimeoutError):  # the platform ends a run without calls
                async with asyncio.timeout(CLOSING_SECONDS):
                    await self._judgement.close()
        await self._judge.client.aclose()
