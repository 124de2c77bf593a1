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

for condition in insecure secure educational jailbroken evil-numbers random-numbers; do
  adapter "$condition" "$condition" 600
done
adapter backdoor backdoor 1200 # half of them with the trigger, as in the published set

# weak doses of the insecure data, since real rates are small: about 1, 5 and 20 % misaligned
adapter insecure-1 insecure 600 --epochs 1 --lr 1.2e-4
adapter insecure-5 insecure 600 --epochs 1 --lr 2.1e-4
adapter insecure-20 insecure 600 --epochs 1 --lr 2.9e-4
