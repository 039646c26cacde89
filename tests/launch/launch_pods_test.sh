#!/bin/bash
# Worker pods. Each is a process tree with its own PID namespace and hostname; an agent instead of ssh starts
# ranks in it. TERM to PID 1 of a pod, as a kubelet sends it, makes all ranks save, and the job resumes in new
# pods. Where PID 1 is not worker-init, ranks are lost. Arguments: reel-mpirun, reel.
set -uo pipefail
mpirun=$1
reel=$2
init=$(dirname "$mpirun")/cluster/worker-init
export REEL=$reel # for worker-init
if [ -z "${3:-}" ]; then
    namespaces=(--fork --kill-child --pid --mount-proc --uts)
    if [ "$(id -u)" != 0 ] || ! unshare "${namespaces[@]}" true 2>/dev/null; then
        echo "this machine allows no namespaces: pods cannot be simulated"
        exit 77
    fi
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    unshare "${namespaces[@]}" "$0" "$@" "$folder" # all processes end with this namespace
    exit
fi
folder=$3
cat >"$folder/job.yaml" <<'EOF'
model: {path: 'synthetic:tiny'}
video: {width: 256, height: 160, frames: 33}
sampler: {steps: 30}
checkpoint: {grace: 5s}
output: {latents: out.h5, log: out.jsonl}
EOF
cat >"$folder/agent" <<EOF
#!/bin/bash
read -r init <"$folder/\$1"
shift
exec nsenter --target "\$init" --pid --mount --uts sh -c "\$*"
EOF
chmod +x "$folder/agent"
export OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_oob_tcp_if_include=lo
# files of killed ranks are removed with the folder
export TMPDIR=$folder OMPI_MCA_btl_vader_backing_directory=$folder
fail() { echo "$1"; cat "$folder/said"; exit 1; }

# pod NAME COMMAND...: starts a pod whose PID 1 is the command.
pod() {
    # shellcheck disable=SC2016
    unshare --pid --fork --kill-child --mount-proc --uts sh -c 'hostname "$1"; shift; exec "$@"' - "$@" \
        &>"$folder/$1.said" &
    pod=$!
    until pgrep -P $pod >"$folder/$1"; do sleep 0.1; done
}
run() {
    "$mpirun" --host reel-pod-1:1,reel-pod-2:1 --mca plm_rsh_agent "$folder/agent" -n 2 \
        "$reel" run "$folder/job.yaml" &>"$folder/said" &
    launcher=$!
}
steps() { grep -os '"event":"step","chunk":0,"iteration":[0-9]*' "$folder/out.jsonl"; }
under_way() {
    local target=$(($(steps | wc -l) + 5))
    for _ in $(seq 600); do
        [ "$(steps | wc -l)" -lt $target ] || return
        sleep 0.1
    done
    fail "no steps are made"
}
ended() {
    wait $launcher
    code=$?
    [ $code = "$1" ] || fail "exit $code, expected $1"
}

pod reel-pod-1 "$init" sleep infinity
pod reel-pod-2 "$init" sleep infinity
run
under_way
kill -TERM "$(cat "$folder/reel-pod-2")"
ended 75
wait $pod || fail "the pod that was told ended with $?: $(cat "$folder/reel-pod-2.said")"
pod reel-pod-2 "$init" sleep infinity
run
ended 0
[ "$(steps | wc -l)" -le 31 ] || fail "it began anew"
"$reel" inspect "$folder/out.h5" | grep -q 'complete  *yes' || fail "the output is not complete"

# The same without worker-init.
kill -TERM "$(cat "$folder/reel-pod-2")"
wait $pod || fail "a pod without ranks ended with $?: $(cat "$folder/reel-pod-2.said")"
rm -r "$folder"/out*
pod reel-pod-2 sh -c 'trap exit TERM; sleep infinity & wait'
run
under_way
kill -TERM "$(cat "$folder/reel-pod-2")"
ended 12
