#!/usr/bin/env bash
# Measures everything that needs a GPU, in one go, and writes one Markdown table.
#
#     tools/gpu_day.sh OUTPUT [PART ...]
#
# Runs the tests that need CUDA, the benchmarks at the shape of the paper in tf32 and bf16, the whole
# recipe on synthetic data of the size of THUMOS14, and several runs at once. Every part has a time
# limit of its own; a part that fails or takes too long is noted, and the others go on. OUTPUT then
# holds table.md and the complete output of every part. With names of parts, only those run; parts
# that succeeded before are kept in the table. Needs what `requirements.txt` lists, with a torch of
# 2.11 or newer and no download; the tests need pytest as well.
#
# Environment: PYTHON (python3), DEVICE (cuda), LIMIT (seconds for every part, instead of its own),
# ACM_EPOCHS and FTCL_EPOCHS of the recipe (500 and 25, as in the paper).
set -uo pipefail

if [ $# -lt 1 ]; then
  sed -n '2,15s/^# \{0,1\}//p' "$0"
  exit 2
fi
mkdir -p "$1" || exit 2
output=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-python3}
device=${DEVICE:-cuda}
wanted=" $* "
number=0

# Puts lines into one cell of a Markdown table.
one_cell() {
  tr '|' '/' | sed 's/^ *//; s/ \+/ /g; s/$/<br>/' | tr -d '\n'
}

# part NAME SECONDS PATTERN COMMAND...: runs a part, and records the lines of its output that match.
part() {
  local name=$1 limit=${LIMIT:-$2} pattern=$3 status began seconds state row
  shift 3
  number=$((number + 1))
  row=$output/$(printf '%02d' "$number")-$name.row
  if [ "$wanted" != "  " ] && [[ "$wanted" != *" $name "* ]]; then
    return
  fi
  echo "== $name: $* (at most $limit s)"
  began=$(date +%s)
  PYTHONUNBUFFERED=1 timeout --kill-after=10 "$limit" "$@" >"$output/$name.log" 2>&1
  status=$?
  seconds=$(($(date +%s) - began))
  case $status in
    0) state="done" ;;
    124 | 137) state="stopped after $limit s" ;;
    *) state="failed (status $status)" ;;
  esac
  echo "   $state, $seconds s"
  {
    echo "| $name | \`${*//"$output"/OUTPUT}\` | $state | $seconds |" \
      "$(grep -E "$pattern" "$output/$name.log" | tail -n 40 | one_cell) |"
  } >"$row"
}

part environment 120 '.' "$python" -c "import torch; from utils.device import choose_device as c; \
print('torch', torch.__version__, 'CUDA', torch.version.cuda, c('$device', '0', 'auto'))"
part tests 300 'passed|failed|error' \
  "$python" -m pytest -q -p no:cacheprovider -m cuda $(grep -l pytest.mark.cuda tests/test_*.py)
part training 900 'floor|step|faster|ratio|x ' "$python" benchmarks/training.py --device "$device"
part alignment 300 'ms|x' "$python" benchmarks/alignment.py
part growth 900 '^[| ]' "$python" benchmarks/growth.py --device "$device"
part memory 600 'GiB|s ' "$python" benchmarks/feature_memory.py --device "$device"
for precision in tf32 bf16; do
  part "concurrent-$precision" 600 'steps|runs' \
    "$python" benchmarks/concurrent_runs.py --device "$device" --precision "$precision" --runs 1 2 4
  part "extraction-$precision" 300 'floor|network|plain|x ' \
    "$python" benchmarks/extraction.py --device "$device" --precision "$precision" --batch_size 16 --seconds 0
done
for precision in tf32 bf16; do
  part "recipe-$precision" 3600 'epochs|test:|recipe' \
    "$python" tools/recipe.py --output "$output/recipe-$precision" --device "$device" \
    --precision "$precision" --acm_epochs "${ACM_EPOCHS:-500}" --ftcl_epochs "${FTCL_EPOCHS:-25}"
done

{
  echo "| part | command | state | seconds | output |"
  echo "|---|---|---|---|---|"
  cat "$output"/*.row
} >"$output/table.md"
echo "table: $output/table.md"
