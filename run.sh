#!/usr/bin/env bash
# Starts bin/supervisor, validator or simulator with the variables of .env in this folder, as the Go DTVN's run.sh does.
set -eu
home=$(cd -P "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
without="Without it, start bin/${1:-validator} itself: flags, the environment or -config FILE set it."

case "${1:-}" in
  supervisor | validator | simulator) ;;
  *)
    echo "Usage: $0 {supervisor|validator|simulator} [args...]" >&2
    exit 1
    ;;
esac
if [ ! -f .env ]; then
  echo "Error: .env file not found. $without" >&2
  exit 1
fi
set -a
# shellcheck source=/dev/null
. ./.env
set +a
exec "$home/bin/$1" "${@:2}"
