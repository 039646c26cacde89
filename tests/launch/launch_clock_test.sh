#!/bin/bash
# The date jumps by hours, back and forth, and the monotonic clock has another value after a restart. Nothing
# changes but the dates in the log. Arguments: reel-mpirun, reel, the library preload_faults.
set -uo pipefail
source "$(dirname "$0")/launch_common.sh"
library=$1
write_job 64 48
jumping=(env LD_PRELOAD="$library" DISTURB_CLOCK=1)
# limits that a jump would exceed
limits=(--set checkpoint.time_limit=5m --set communication.timeout_s=20)

what="the date jumps"
from_begun
with=("${jumping[@]}")
run 3 "$job" "${limits[@]}"
expect 0 "resumes from $cp/checkpoint-000001.h5"
warned 0
finished
earliest=$(grep -o '"time":[0-9]*' "$folder/log.jsonl" | cut -d : -f 2 | sort -n | head -1)
latest=$(grep -o '"time":[0-9]*' "$folder/log.jsonl" | cut -d : -f 2 | sort -n | tail -1)
[ $((latest - earliest)) -gt 36000 ] || fail "the date has not jumped"

what="goes on while the date jumps"
rm "$cp/checkpoint-000004.h5" "$folder/out/out.h5"
run 2 "$job" "${limits[@]}"
expect 0 "resumes from $cp/checkpoint-000003.h5"
finished
with=()

what="the steady clock stands elsewhere"
if unshare --time --monotonic 1000000 --boottime 1000000 --fork true 2>/dev/null; then
    from_begun
    with=(unshare --time --monotonic 1000000 --boottime 1000000 --fork)
    run 0 "$job" "${limits[@]}" --set checkpoint.keep=9
    expect 0
    with=(unshare --time --monotonic 10 --boottime 10 --fork)
    rm "$cp/checkpoint-000004.h5" "$folder/out/out.h5"
    run 2 "$job" "${limits[@]}"
    expect 0 "resumes from $cp/checkpoint-000003.h5"
    warned 0
    finished
fi
