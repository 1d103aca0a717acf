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
    node = shutil.which("node")
    if node is None or not INSTALLED.exists():
        lacking("no node or @ag-ui/client on this machine: apt-get install nodejs npm, then `make test`")
    process = await asyncio.create_subprocess_exec(
        node,
        HERE / "run.mjs",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"SUPPRESS_TRANSFORMATION_WARNINGS": "true"},
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(json.dumps(asked).encode()), 4 * PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    found: list[dict[str, Any]] = json.loads(out)
    return found
