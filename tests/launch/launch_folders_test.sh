#!/bin/bash
# Folders and inputs that have changed: read-only, a file instead of a folder, gone before the start or during
# the run, or in use by another job. Arguments: reel-mpirun, reel, the library preload_faults (or - where it
# cannot be preloaded), and whole for tests that take long.
set -uo pipefail
if [ -z "${REEL_TEST_MOUNTS:-}" ]; then # runs again in a namespace of its own: its mounts end with it
    namespaces=(--mount)
    [ "$(id -u)" = 0 ] || namespaces=(--user --map-root-user --mount)
    REEL_TEST_MOUNTS=no
    if unshare "${namespaces[@]}" mount -t tmpfs none /mnt 2>/dev/null; then
        REEL_TEST_MOUNTS=yes exec unshare "${namespaces[@]}" "$0" "$@"
    fi
fi
source "$(dirname "$0")/launch_common.sh"
library=$1
whole=${2:-}
clean_more() { umount -l "$cp" 2>/dev/null; }

# A job that takes some seconds, so that something can happen during its run.
reference=$(dirname "$0")/../reference/tiny-df
cp -r "$reference/native" "$folder/model"
cp "$reference/long.inputs.safetensors" "$folder/prompts.safetensors"
write_job 128 96 20 4 "$folder/model" "$folder/prompts.safetensors"

# start NAME RANKS ARGUMENT...: like run, in the background; sets started. The program's output is in NAME.
start() {
    local name=$1 ranks=$2 launcher=()
    shift 2
    [ "$ranks" = 0 ] || launcher=("$mpirun" -n "$ranks")
    timeout --signal=KILL 60 "${launcher[@]}" "$reel" run "$@" >"$folder/$name" 2>&1 &
    started=$!
}

# until_said NAME WORDS: waits until the program prints the words.
until_said() {
    for _ in $(seq 300); do
        ! grep -q -- "$2" "$folder/$1" || return 0
        sleep 0.1
    done
    cp "$folder/$1" "$said"
    fail "it never says: $2"
}

# ended NAME: waits for the program and sets code; its output becomes that of the last run.
ended() {
    wait "$started"
    code=$?
    cp "$folder/$1" "$said"
    [ $code != 137 ] || fail "it hangs"
}

a_folder_that_cannot_be_used() {
    local policy=(--set checkpoint.on_error=$1)
    what="the folder is a file"
    from_begun
    rm -rf "$cp"
    echo text >"$cp"
    run 2 "$job" "${policy[@]}"
    expect 5 "checkpoint.directory is no directory, expected one"
    what="a parent is a file"
    run 0 "$job" "${policy[@]}" --set "checkpoint.directory=$cp/a/b"
    expect 5 "checkpoint.directory could not be made: Not a directory"
    rm "$cp"
    what="the folder is read-only"
    [ "$REEL_TEST_MOUNTS" = yes ] || return 0
    from_begun
    touch "$cp/lock"
    mount --bind "$cp" "$cp"
    mount -o remount,ro,bind "$cp"
    run 2 "$job" "${policy[@]}"
    expect 5 "checkpoint.directory could not be locked: Read-only file system"
    umount -l "$cp"
    kept_checkpoint
    resumes 1
}

kept_checkpoint() {
    nothing_aside
    cmp -s "$folder/begun.h5" "$cp/checkpoint-000001.h5" || fail "the checkpoint has changed"
}

a_parent_that_is_missing_is_made() {
    what="a missing parent"
    from_begun
    run 2 "$job" --set "checkpoint.directory=$folder/x/y/z/cp"
    expect 0
    warned 0
    [ "$(ls "$folder/x/y/z/cp" | wc -l)" = 3 ] || fail "it has $(ls "$folder/x/y/z/cp")"
    finished
}

# in_the_midst NAME RANKS COMMAND ARGUMENT...: executes the command after the run's first save.
in_the_midst() {
    local name=$1 ranks=$2 command=$3
    shift 3
    what="$command in the midst, $ranks ranks, $*"
    from_begun
    start "$name" "$ranks" "$job" "$@"
    until_said "$name" "^checkpoint:"
    eval "$command"
    ended "$name"
}

a_folder_that_goes_away_in_the_midst() {
    in_the_midst gone 2 'mv "$cp" "$cp.away"'
    expect 0
    grep -q "warning: no checkpoint could be saved: .*checkpoint.directory cannot be read: No such file" \
        "$said" || fail "no warning"
    rm -rf "$cp.away"
    finished
    [ -n "$whole" ] || return 0
    in_the_midst gone 0 'rm -rf "$cp"' --set checkpoint.on_error=stop
    expect 5 "No such file or directory"
    from_begun
}

a_lock_that_goes_away_in_the_midst() {
    in_the_midst lock 0 'rm "$cp/lock"' --set checkpoint.on_error=stop
    expect 5 "checkpoint.directory was taken away: its lock is another file now"
    nothing_aside
    run 0 "$job"
    expect 0 "resumes from"
    ! grep -q warning: "$said" || fail "a warning"
    finished
}

an_output_that_goes_away_in_the_midst() {
    in_the_midst output 2 'rm -rf "$folder/out"'
    expect 5 "output.latents could not be written: No such file or directory"
    nothing_aside
    run 0 "$job"
    expect 5 "output.latents could not be written: No such file or directory"
    mkdir "$folder/out"
    run 0 "$job"
    expect 0 "resumes from"
    finished
}

inputs_that_go_away() {
    local weights
    weights=$(ls "$folder"/model/*.safetensors | head -1)
    what="weights that are gone"
    from_begun
    mv "$weights" "$folder/away"
    run 0 "$job"
    expect 4
    grep -q "error: $folder/model" "$said" || fail "it does not name the folder"
    kept_checkpoint
    mv "$folder/away" "$weights"
    resumes 1
    what="prompts that cannot be read"
    from_begun
    run 2 "$job" --set "prompt.embeds=$folder/none.safetensors"
    expect 4 "none.safetensors.*No such file or directory"
    run 2 "$job" --set "prompt.embeds=$folder"
    expect 4 "$folder"
    kept_checkpoint
}

a_checkpoint_that_is_cut_short() {
    what="a checkpoint that is cut short"
    from_begun
    cp "$cp/checkpoint-000001.h5" "$cp/checkpoint-000007.h5"
    truncate -s -100 "$cp/checkpoint-000007.h5"
    run 0 "$job"
    expect 0 "resumes from $cp/checkpoint-000001.h5"
    [ "$(grep -c "warning: .*checkpoint-000007.h5: has .* bytes, expected .*; the checkpoint before it" \
        "$said")" = 1 ] || fail "no warning"
    finished
    from_begun
    truncate -s 5000 "$cp/checkpoint-000001.h5"
    run 0 "$job"
    expect 4 "none of its 1 checkpoints is whole"
}

no_locks() {
    what="a file system without locks"
    from_begun
    with=(env LD_PRELOAD="$library" DISTURB_FAULT=lock:1+:ENOLCK DISTURB_FILES="$cp")
    run 0 "$job"
    with=()
    expect 0 "warning: $cp: its file system has no locks: nothing keeps a second job from using it"
    warned 0
    finished
}

# Inputs exist, but reading them fails on one rank.
inputs_that_fail() {
    local fault
    for fault in read:1:EIO ${whole:+open:1+:EACCES read:3:EIO}; do
        what="weights: $fault"
        from_begun
        with=(env LD_PRELOAD="$library" DISTURB_FAULT="$fault" DISTURB_FILES="$folder/model/" DISTURB_RANK=1)
        run 2 "$job"
        with=()
        expect 4
        kept_checkpoint
    done
}

the_second_job_waits_for_the_first() {
    what="two jobs on one folder"
    from_begun
    start first 0 "$job"
    until_said first "^checkpoint:"
    local first=$started process
    process=$(pgrep -f "^$reel run $job" | head -1)
    kill -STOP "$process" # it keeps the folder locked until CONT
    start second 2 "$job"
    sleep 1.5
    kill -USR1 "$process"
    kill -CONT "$process"
    wait "$first"
    code=$?
    [ $code = 75 ] || fail "the first: exit $code, expected 75: $(cat "$folder/first")"
    ended second
    expect 0 "resumes from"
    finished
}

the_second_job_gives_up() {
    what="two jobs on one folder, for long"
    from_begun
    start first 0 "$job"
    local first=$started process began
    until_said first "^checkpoint:"
    process=$(pgrep -f "^$reel run $job" | head -1)
    kill -STOP "$process"
    began=$SECONDS
    start second 2 "$job"
    ended second
    expect 4 \
        "checkpoint.directory is in use by another job (host $(hostname), process $process), expected one job"
    [ $((SECONDS - began)) -ge 30 ] && [ $((SECONDS - began)) -lt 40 ] ||
        fail "it waited $((SECONDS - began)) s"
    kill -CONT "$process"
    started=$first
    ended first
    expect 0
    finished
}

# killed TIMES: mpirun is killed, and the job started again at once, while the ranks of the first start live
# on for a second.
killed() {
    local time wrapper
    for time in $(seq "$1"); do
        what="mpirun is killed, time $time"
        from_begun
        start killed 2 "$job"
        until_said killed "^checkpoint:"
        sleep "0.$((time * 37 % 100 / 10))"
        wrapper=$(pgrep -f "^mpirun .*$job")
        kill -KILL $wrapper
        run 2 "$job"
        wait "$started" 2>/dev/null
        # resumed from the newest checkpoint, or complete: the old ranks may have finished the job meanwhile
        expect 0
        grep -q -e "resumes from" -e "nothing is left to do" "$said" || fail "it starts over"
        ! grep -q warning: "$said" || fail "a warning"
        finished
    done
}

a_folder_that_cannot_be_used stop
a_parent_that_is_missing_is_made
a_folder_that_goes_away_in_the_midst
a_lock_that_goes_away_in_the_midst
an_output_that_goes_away_in_the_midst
inputs_that_go_away
a_checkpoint_that_is_cut_short
if [ "$library" != - ]; then
    no_locks
    inputs_that_fail
fi
the_second_job_waits_for_the_first
killed 1
if [ -n "$whole" ]; then
    a_folder_that_cannot_be_used continue
    the_second_job_gives_up
    killed 12
fi
