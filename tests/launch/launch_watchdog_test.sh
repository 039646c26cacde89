#!/bin/bash
# A stopped rank makes all ranks end in time, with one message and exit code 12. Arguments: reel-mpirun, reel.
set -uo pipefail
mpirun=$1
reel=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/job.yaml" <<'EOF'
model: {path: 'synthetic:tiny'}
video: {width: 256, height: 160, frames: 33}
sampler: {steps: 1000}
communication: {timeout_s: 2}
output: {latents: out.h5}
EOF
fail() { echo "$1"; cat "$folder/said"; exit 1; }

# The process id of a rank of this mpirun, once the job is running.
process_of() {
    local process
    for process in $(pgrep -f "$folder/job.yaml"); do
        if tr '\0' '\n' <"/proc/$process/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$1"; then
            echo "$process"
            return
        fi
    done
}

for stopped in 0 2; do
    : >"$folder/said"
    "$mpirun" -n 3 "$reel" run "$folder/job.yaml" --set "partition.ring=3" >"$folder/said" 2>&1 &
    launcher=$!
    for _ in $(seq 200); do
        grep -q "chunk 1/1  iteration" "$folder/said" && break
        sleep 0.1
    done
    victim=$(process_of $stopped)
    [ -n "$victim" ] || fail "rank $stopped was not found"
    began=$SECONDS
    kill -STOP "$victim"
    wait $launcher
    code=$?
    [ $code = 12 ] || fail "rank $stopped is stopped: exit $code, expected 12"
    [ $((SECONDS - began)) -le 20 ] || fail "rank $stopped is stopped: it took $((SECONDS - began)) s to end"
    [ "$(grep -c 'reel: error: ' "$folder/said")" = 1 ] || fail "rank $stopped is stopped: not one message"
    grep -q "made no progress for 2 s (communication.timeout_s) while sampling chunk 0, iteration" \
        "$folder/said" || fail "rank $stopped is stopped: another message"
    [ -z "$(pgrep -f "$folder/job.yaml")" ] || fail "rank $stopped is stopped: processes are left"
done
