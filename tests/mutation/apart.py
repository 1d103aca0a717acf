"""`python -m tests.mutation.apart MODULE PART`: the hunt for one subject that needs Django, in its own
process. The last line of stdout is the list of surviving mutants, as JSON."""

from __future__ import annotations

import sys

import msgspec

from tests.mutation.guards import hunt_here

sys.stdout.write(msgspec.json.encode(hunt_here(sys.argv[1], sys.argv[2])).decode() + "\n")
