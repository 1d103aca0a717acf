"""The official AG-UI client, `@ag-ui/client` of the npm registry, run by node."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

from tests.needed import lacking
from tests.waiting import PATIENCE

HERE = Path(__file__).parent
INSTALLED = HERE / "node_modules/@ag-ui/client/package.json"


async def outcomes(asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the client makes of each agent: see run.mjs."""
    found: list[dict[str, Any]] = await _run("run.mjs", asked, SUPPRESS_TRANSFORMATION_WARNINGS="true")
    return found


async def played(bodies: list[str]) -> list[str]:
    """A letter for what the client makes of each body, in base64: see play.mjs."""
    found: list[str] = await _run("play.mjs", bodies)
    return found


async def _run(script: str, given: object, **environment: str) -> Any:
    node = shutil.which("node")
    if node is None or not INSTALLED.exists():
        lacking("no node or @ag-ui/client on this machine: apt-get install nodejs npm, then `make test`")
    process = await asyncio.create_subprocess_exec(
        node,
        HERE / script,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(json.dumps(given).encode()), 4 * PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return json.loads(out)
