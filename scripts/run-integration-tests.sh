#!/usr/bin/env bash
# The integration runner of the Go DTVN with its options, over the tests of real processes here.
# `make test-integration` runs them all faster, and those marked `backend` on PostgreSQL, Redis and RabbitMQ too.
set -uo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." || exit 1
python=.venv/bin/python data=test-data/integration
parallel=() verbose=-q cleanup=true pattern= limit=30m

usage() {
  cat <<TEXT
Usage: scripts/run-integration-tests.sh [OPTIONS]

Options:
  -p, --parallel      Run tests in parallel
  -v, --verbose       Name each test
  --no-cleanup        Keep the tests' data, logs of nodes among them, in $data
  --pattern PATTERN   Run only tests of which PATTERN is a part of the name, or the file
  --timeout DURATION  Stop after so long, as 90s or 1h30m; 0: never (default: $limit)
  -h, --help          Show this help

\`make test-integration\` runs them all in parallel, and on database servers too.
TEXT
}

refuse() {
  echo "$1" >&2
  exit 1
}

while [ $# -gt 0 ]; do
  case $1 in
    -p | --parallel) parallel=(-n 4 --dist loadfile) ;;
    -v | --verbose) verbose=-v ;;
    --no-cleanup) cleanup=false ;;
    --pattern | --timeout)
      [ $# -gt 1 ] || refuse "$1 needs a value"
      if [ "$1" = --pattern ]; then pattern=$2; else limit=$2; fi
      shift
      ;;
    -h | --help) usage && exit 0 ;;
    *) refuse "Unknown option: $1" ;;
  esac
  shift
done

[ -x "$python" ] || refuse "no $python: run \`make deps\` first"
seconds=$("$python" -c 'import sys
from dtvn.protocol.durations import parse_duration
try:
    duration = parse_duration(sys.argv[1])
except ValueError as error:
    sys.exit(f"--timeout: {error}")
if duration < 0:
    sys.exit(f"--timeout: {sys.argv[1]} is less than 0")
print(duration / 10**9)' "$limit") || exit 1

file=${pattern%%::*}
if [ -z "$pattern" ]; then
  chosen=()
elif [ -e "$file" ]; then
  chosen=("$pattern")
else
  chosen=(-k "$pattern")
fi
if $cleanup; then kept=failed; else kept=all; fi

mkdir -p "$data"
timeout --foreground --signal=INT --kill-after=60 "$seconds" "$python" -m pytest "$verbose" \
  -m "integration and not exhaustive and not bench" --basetemp "$data" -o "tmp_path_retention_policy=$kept" \
  "${parallel[@]}" "${chosen[@]}"
code=$?
case $code in
  0) echo "All integration tests passed." ;;
  5) echo "No integration test matches ${pattern@Q}." >&2 ;;
  124 | 137) echo "Stopped after $limit (--timeout)." >&2 ;;
  *) echo "Some integration tests failed." >&2 ;;
esac
if $cleanup && [ $code = 0 ]; then rm -rf test-data; else echo "Data of tests: $data"; fi
[ $code = 0 ]
