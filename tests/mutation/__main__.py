"""`python -m tests.mutation [PART OF A NAME]`: which planted mutants of guards does no test notice?

Exits 1 when one survives that is not in `guards.EQUIVALENT`, or when that table names one that does not.
"""

from __future__ import annotations

import sys

from tests.mutation.guards import EQUIVALENT, SUBJECTS, hunt

PART = " ".join(sys.argv[1:])
surviving = {mutant.name: mutant for module in SUBJECTS for mutant in hunt(module, PART)}
for name in sorted(surviving.keys() - EQUIVALENT.keys()):
    print(f"survives: {name} (line {surviving[name].line})")
stale = set() if PART else EQUIVALENT.keys() - surviving.keys()
for name in sorted(stale):
    print(f"does not survive: {name}")
sys.exit(bool(stale or surviving.keys() - EQUIVALENT.keys()))
