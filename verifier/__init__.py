"""The stand-alone verifier as a package, for its tests. Who is handed the other files does not need this."""

import sys
from pathlib import Path

# Its files know each other by their bare names, as in the folder of whoever got them.
sys.path.append(str(Path(__file__).parent))
