#!/usr/bin/env bash
# One call on a machine with an accelerator: check, then train the paper's Fashion-MNIST as far as the time goes.
#
#   bash benchmarks/device.sh OUT DATA SECONDS
#
# OUT gets the log and the study's tables; DATA is the data root; run again to go on from the last finished epoch.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1 data=$2 seconds=$3
mkdir -p "$out"
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" LABELNOISE_DATA=$data PYTHONUNBUFFERED=1
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | tee "$out/device.txt"
python3 -m pytest -q tests/cuda tests/compile 2>&1 | tee "$out/tests.txt"
timeout "$seconds" python3 -m labelnoise study run paper/fashion-mnist --out "$out/fashion-mnist" --device cuda \
  --workers 2 --set seeds=1 --set 'noises=[{"name":"symmetric","rates":[0.2,0.4]}]' || true
python3 -m labelnoise study status "$out/fashion-mnist"
python3 -m labelnoise study report "$out/fashion-mnist" || true
