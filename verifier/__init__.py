"""The stand-alone verifier as a package, for its tests. Users need only the other files."""

import sys
from pathlib import Path

# The files import each other by their bare names, so that they work in any folder.
sys.path.append(str(Path(__file__).parent))
