#!/bin/sh
# All speed records, unattended: benchmarks/results/*.json and docs/results.md. Rows are kept one by one; started again,
# it goes on where it was. An engine that takes longer than LIMIT for a row, or crashes, is left out with that reason.
#
#   benchmarks/all.sh [NAME-PART]...      # only jobs whose names contain one of the words, e.g. resnet18-w2a2
#
# Environment: KOMPAKT (command), OUT (folder), ROUNDS, SECONDS_PER_PAIR, LIMIT (s per row), THREADS, BATCHES.
set -eu
cd "$(dirname "$0")/.."
KOMPAKT=${KOMPAKT:-.venv/bin/kompakt}
OUT=${OUT:-benchmarks/results}
ROUNDS=${ROUNDS:-12}
SECONDS_PER_PAIR=${SECONDS_PER_PAIR:-2}
LIMIT=${LIMIT:-300}
THREADS=${THREADS:-1}
INT8=onnxruntime:fp32,onnxruntime:int8,openvino
ALARM=142 # exit status of a process that SIGALRM ended
ONLY="$*"

wanted() {
  [ -z "$ONLY" ] && return 0
  for word in $ONLY; do case "$1" in *"$word"*) return 0 ;; esac; done
  return 1
}

# job NET BITS HIDE AGAINST BATCHES: repeated while an engine ends the process; every repetition leaves one engine out.
job() {
  name=$1-$2${3:+-no-$3}
  wanted "$name" || return 0
  echo "== $name"
  tries=0
  until $KOMPAKT bench "zoo:$1" --bits "$2" ${3:+--hide "$3"} --against "$4" --threads "$THREADS" --batch "${BATCHES:-$5}" \
    --rounds "$ROUNDS" --seconds "$SECONDS_PER_PAIR" --limit "$LIMIT" --save "$OUT/$name.json" --resume > /dev/null; do
    status=$?
    tries=$((tries + 1))
    if [ "$status" -lt 128 ] || [ "$tries" -ge 20 ]; then
      echo "   $name: exit status $status, going on with the next" >&2
      return 0
    fi
    [ "$status" -eq "$ALARM" ] && echo "   an engine took longer than $LIMIT s" >&2
  done
}

mkdir -p "$OUT"
for hide in "" avx512 ${AMX:+amx}; do
  for bits in w2a2 w1a1; do
    job resnet20 $bits "$hide" "$INT8,torch" 1,32
    job vgg_small $bits "$hide" "$INT8,torch" 1
    job resnet18 $bits "$hide" "$INT8,torch" 1,32
  done
  for bits in w4a8 w8a8; do
    job resnet18 $bits "$hide" "$INT8" 1
    job mobilenet_v2 $bits "$hide" "$INT8,torch" 1
  done
  for bits in w1a8 w2a8 w3a8 w4a8 w8a8; do
    job linear_4096 $bits "$hide" all 1
    job linear_9216 $bits "$hide" all 1
  done
  job lenet_300_100 w2a8 "$hide" all 1,32
  job resnet56 w2a2 "$hide" "$INT8" 1
  job densenet40 w4a8 "$hide" "$INT8" 1
  job inception w4a8 "$hide" "$INT8" 1
  job vit_tiny w4a8 "$hide" "$INT8" 1
  job lstm w4a8 "$hide" "$INT8" 1
done
$KOMPAKT results
