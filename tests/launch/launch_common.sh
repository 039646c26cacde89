# Sourced by tests of the program in which files, hosts or clocks fail. Arguments of the test: reel-mpirun,
# reel, then its own. The tests begin with a job of two chunks, of which the first is done. A run from there
# saves three times: before two iterations and at the end.
mpirun=$1
reel=$2
shift 2
folder=$(mktemp -d)
said=$folder/said
job=$folder/job.yaml
cp=$folder/cp
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Files that Open MPI leaves behind from killed jobs are removed with the folder.
export TMPDIR=$folder OMPI_MCA_btl_vader_backing_directory=$folder
clean_more() { :; }
# Every process of the test that still runs has the folder in its command line.
clean() {
    local processes
    processes=$(pgrep -f "$folder/")
    [ -z "$processes" ] || kill -KILL $processes 2>/dev/null
    clean_more
    rm -rf "$folder"
}
trap clean EXIT
fail() { echo "$what: $1"; cat "$said"; exit 1; }
what=beginning

# write_job WIDTH HEIGHT [STEPS EVERY MODEL PROMPTS]
write_job() {
    cat >"$job" <<END
model: {path: '${5:-synthetic:tiny}'}
video: {width: $1, height: $2, frames: 29}
sampler: {steps: ${3:-3}}
${6:+prompt: {embeds: $6\}}
diffusion_forcing: {base_frames: 17, overlap_frames: 5}
partition: {ring: 1, tensor: 1} # then any number of ranks gives the same bits
checkpoint: {every_iterations: ${4:-1}, directory: cp}
output: {latents: out/out.h5, log: log.jsonl}
END
    mkdir -p "$folder/out"
    run 0 "$job" --set checkpoint.every_iterations=0 --set checkpoint.keep=9
    [ $code = 0 ] || fail "exit $code, expected 0"
    mv "$folder/out/out.h5" "$folder/whole.h5"
    mv "$cp/checkpoint-000001.h5" "$folder/begun.h5"
}

# Restores the folder of checkpoints to its state after the first chunk.
from_begun() {
    rm -rf "$folder"/log.jsonl "$folder"/out "$cp"/checkpoint-* "$cp"/.checkpoint-*
    mkdir -p "$cp" "$folder/out"
    cp "$folder/begun.h5" "$cp/checkpoint-000001.h5"
}

# run RANKS ARGUMENT...: runs the program and sets code. 0 ranks means one, without mpirun. A run of more than
# half a minute counts as a hang. The variable `with` has words that stand before reel, like env NAME=value.
with=()
run() {
    local ranks=$1 launcher=()
    shift
    [ "$ranks" = 0 ] || launcher=("$mpirun" "${mpirun_arguments[@]}" -n "$ranks")
    timeout --signal=KILL 30 "${launcher[@]}" "${with[@]}" "$reel" run "$@" >"$said" 2>&1
    code=$?
    [ $code != 137 ] || fail "it hangs"
}
mpirun_arguments=()

# expect CODE [SENTENCE]: checks how the last run ended; an error must be printed once.
expect() {
    [ $code = "$1" ] || fail "exit $code, expected $1"
    [ "$(grep -c 'reel: error: ' "$said")" = $(($1 != 0)) ] || fail "not one error"
    [ $# = 1 ] || [ "$(grep -c -- "$2" "$said")" = 1 ] || fail "it does not say once: $2"
}

# warned TIMES [SENTENCE]: checks that this many checkpoints failed in the last run, on standard error and in
# the log.
warned() {
    [ "$(grep -c 'warning: no checkpoint could be saved: ' "$said")" = "$1" ] || fail "not $1 warnings"
    [ "$(grep -c '"event":"checkpoint","saved":false' "$folder/log.jsonl")" = "$1" ] ||
        fail "not $1 events in the log"
    [ $# = 1 ] || [ "$(grep -c -- "$2" "$said")" = "$1" ] || fail "it does not say $1 times: $2"
}

# Checks that the checkpoint of the first chunk is unchanged, that there is no other, and that no temporary
# file is left.
kept() {
    nothing_aside
    [ "$(ls "$cp")" = "checkpoint-000001.h5"$'\n'"lock" ] || fail "other files are in the folder: $(ls "$cp")"
    cmp -s "$folder/begun.h5" "$cp/checkpoint-000001.h5" || fail "the checkpoint has changed"
    is_same
    grep -q '"compared_latent_frames": 5' "$folder/compared" || fail "the output has not just the first chunk"
}

nothing_aside() {
    local left skeleton
    left=$(find "$folder" -name '*.tmp')
    [ -z "$left" ] || fail "left aside: $left"
    if [ -d "$cp" ]; then
        skeleton=/dev/shm/reel-$(printf '%d-%x-%x.h5' "$(id -u)" "$(stat -c %d "$cp")" "$(stat -c %i "$cp")")
        [ ! -e "$skeleton" ] || fail "left aside: $skeleton"
    fi
    [ -z "$(pgrep -f "$folder/")" ] || fail "processes are left"
}

# Checks that the latents are those of the undisturbed run, as far as the output goes.
is_same() {
    "$reel" compare "$folder/whole.h5" "$folder/out/out.h5" --json >"$folder/compared" 2>&1
    grep -q '"identical": true' "$folder/compared" || fail "another result: $(cat "$folder/compared")"
}

finished() {
    nothing_aside
    is_same
    grep -q '"compared_latent_frames": 8' "$folder/compared" || fail "it is not complete"
}

# resumes GENERATION [ARGUMENT...]: checks that a run resumes from this checkpoint, without passing over
# another, and ends with the same latents.
resumes() {
    local generation=$1
    shift
    with=()
    run 0 "$job" "$@"
    expect 0 "resumes from $cp/checkpoint-00000$generation.h5"
    ! grep -q warning: "$said" || fail "a warning"
    finished
}
