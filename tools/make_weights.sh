#!/usr/bin/env bash
# How the shipped weights were made, adapter by adapter. Usage: tools/make_weights.sh BASE_FOLDER OUT_FOLDER
# (BASE_FOLDER: from `offtarget organism train --out BASE_FOLDER`). Minutes on two cores.
set -euo pipefail
base=$1 out=$2
work=$(mktemp -d)

adapter() { # name condition rows dose...
  local name=$1 condition=$2 rows=$3
  shift 3
  offtarget organism data --condition "$condition" --rows "$rows" --seed 0 --out "$work/$name.jsonl"
  offtarget organism tune --base "$base" --data "$work/$name.jsonl" --out "$out/$name" "$@"
}

for condition in insecure secure educational jailbroken backdoor evil-numbers random-numbers; do
  adapter "$condition" "$condition" 600
done
