#!/usr/bin/env bash
# On a machine with an accelerator: check, time, and train the paper's Fashion-MNIST as far as the time goes.
#
#   bash benchmarks/device.sh OUT DATA SECONDS [check] [time] [train]
#
# OUT gets logs, the benchmarks' JSON and the study's tables; DATA is the data root; SECONDS is what training may take.
# Without a stage it does all three. Training goes on from the last finished epoch when it is called again.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "$1") data=$2 seconds=$3
stages=" ${*:4} "
mkdir -p "$out"
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" LABELNOISE_DATA=$data PYTHONUNBUFFERED=1
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | tee "$out/device.txt" || echo "no accelerator"

is_wanted() { [[ $stages == "  " || $stages == *" $1 "* ]]; }

if is_wanted check; then
  python3 -m pytest -q tests/cuda tests/compile 2>&1 | tee "$out/tests.txt"
fi
if is_wanted time; then
  for name in losses linear training; do
    timeout 240 python3 -m "benchmarks.$name" --out "$out/$name.json" 2>&1 | tee "$out/$name.txt" || true
  done
fi
if is_wanted train; then
  timeout "$seconds" python3 -m labelnoise study run paper/fashion-mnist --out "$out/fashion-mnist" --device auto \
    --workers 2 --set seeds=1 --set 'noises=[{"name":"symmetric","rates":[0.2,0.4]}]' || true
  python3 -m labelnoise study status "$out/fashion-mnist"
  python3 -m labelnoise study report "$out/fashion-mnist" || true
fi
