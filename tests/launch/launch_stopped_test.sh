#!/bin/bash
# A rank is stopped in the middle of a save. The watchdogs end the job in time with 12, the previous
# checkpoint is unchanged, and the job resumes from it. Runs in debug builds. Arguments: reel-mpirun, reel.
set -uo pipefail
source "$(dirname "$0")/launch_common.sh"
write_job 64 48
for fault in checkpoint-write:1:1 checkpoint-close:2:2 checkpoint-rename:0:1; do
    what="stopped at $fault"
    from_begun
    with=(env REEL_FAULT="$fault:stop")
    began=$SECONDS
    run 3 "$job" --set communication.timeout_s=2
    with=()
    [ $code = 12 ] || fail "exit $code, expected 12"
    grep -q "made no progress for 2 s (communication.timeout_s) while saving before chunk 1, iteration 1" \
        "$said" || fail "another message"
    [ $((SECONDS - began)) -le 20 ] || fail "it took $((SECONDS - began)) s to end"
    [ -z "$(pgrep -f "$folder/")" ] || fail "processes are left"
    cmp -s "$folder/begun.h5" "$cp/checkpoint-000001.h5" || fail "the checkpoint has changed"
    resumes 1
done
