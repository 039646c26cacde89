#!/bin/bash
# A full disk. However much of a checkpoint's size is free, the checkpoint is either written, or refused at
# once, and then the previous one stays. The run continues or stops as its job says. Also a full /dev/shm, and
# an output on the full disk. Arguments: reel-mpirun, reel, and whole for every amount of space on 1, 2 and 3
# ranks.
set -uo pipefail
if [ -z "${REEL_TEST_MOUNTS:-}" ]; then # runs again in a namespace of its own: its mounts end with it
    namespaces=(--mount)
    [ "$(id -u)" = 0 ] || namespaces=(--user --map-root-user --mount)
    if ! unshare "${namespaces[@]}" mount -t tmpfs none /mnt 2>/dev/null; then
        echo "this machine allows no mounts: no disk can be filled"
        exit 77
    fi
    REEL_TEST_MOUNTS=1 exec unshare "${namespaces[@]}" "$0" "$@"
fi
source "$(dirname "$0")/launch_common.sh"
whole=${1:-}
write_job 256 160
mkdir "$folder/disk"
mount -t tmpfs -o size=64M none "$folder/disk"
clean_more() { umount -l "$folder/disk"; }
cp=$folder/disk/cp
on_disk=(--set "checkpoint.directory=$cp")
run 0 "$job" "${on_disk[@]}" --set checkpoint.keep=99
expect 0
need=$(stat -c %s "$cp/checkpoint-000004.h5") # in the middle of the second chunk
need=$(((need + 4095) / 4096)) # pages

# Fills the disk but for this many pages.
leave() {
    local free
    rm -f "$folder/disk/full"
    free=$(($(stat -f -c %f "$folder/disk")))
    head -c $(((free - $1) * 4096)) /dev/zero >"$folder/disk/full"
    [ "$(stat -f -c %f "$folder/disk")" = "$1" ] ||
        fail "$(stat -f -c %f "$folder/disk") pages are free, not $1"
}

# full RANKS PAGES TIMES: too little space, for TIMES of the three checkpoints; the last one is smaller. Stops
# with on_error=stop, then resumes from there and continues.
full() {
    what="$2 of $need pages are free, $1 ranks"
    from_begun
    leave "$2"
    run "$1" "$job" "${on_disk[@]}" --set checkpoint.on_error=stop
    expect 5 "there is no room for a checkpoint of [0-9]* bytes: No space left on device"
    kept
    run "$1" "$job" "${on_disk[@]}"
    expect 0
    warned "$3" "there is no room for a checkpoint of [0-9]* bytes: No space left on device"
    finished
}

# enough RANKS: space for exactly one more checkpoint; then the disk is full.
enough() {
    what="room for one, $1 ranks"
    from_begun
    leave "$need"
    run "$1" "$job" "${on_disk[@]}" --set checkpoint.on_error=stop
    expect 5 "there is no room for a checkpoint of [0-9]* bytes: No space left on device"
    nothing_aside
    rm "$folder/disk/full"
    resumes 2 "${on_disk[@]}"
}

# output_full RANKS PAGES: the output is on the full disk, the checkpoints are elsewhere.
output_full() {
    what="the output on a disk with $2 pages, $1 ranks"
    local cp=$folder/cp
    from_begun
    mkdir -p "$folder/disk/out"
    leave "$2"
    run "$1" "$job" --set "output.latents=$folder/disk/out/out.h5"
    expect 5 "output.latents could not be written: No space left on device"
    nothing_aside
    [ "$(ls -A "$folder/disk/out")" = "" ] || fail "left: $(ls -A "$folder/disk/out")"
    rm "$folder/disk/full"
    run "$1" "$job" --set "output.latents=$folder/disk/out/out.h5"
    expect 0 "resumes from $cp/checkpoint-000001.h5"
    mv "$folder/disk/out/out.h5" "$folder/out/"
    finished
}

# memory_full OPTIONS FULL SENTENCE: the file system in memory, /dev/shm, accepts no data.
memory_full() {
    what="/dev/shm is $1"
    mount -t tmpfs -o "$1" none /dev/shm
    [ "$2" = 0 ] || head -c 100M /dev/zero >/dev/shm/full 2>/dev/null
    for ranks in ${whole:+0} 2; do
        from_begun
        mpirun_arguments=(--mca btl "self,tcp" --mca btl_tcp_if_include lo) # Open MPI would use /dev/shm too
        run $ranks "$job" "${on_disk[@]}" --set checkpoint.on_error=stop
        expect 5 "$3"
        kept
        run $ranks "$job" "${on_disk[@]}"
        expect 0
        warned 3 "$3"
        finished
    done
    mpirun_arguments=()
    umount -l /dev/shm
}

if [ -n "$whole" ]; then
    for ranks in 0 1 2 3; do
        for pages in 0 $((need / 100 + 1)) $((need / 2)) $((need - 1)); do
            full $ranks $pages $((pages < need / 4 ? 3 : 2))
        done
        enough $ranks
        output_full $ranks 0
        output_full $ranks 1
        output_full $ranks $((need / 10))
    done
else
    full 0 $((need - 1)) 2
    full 2 $((need / 2)) 2
    full 3 0 3
    enough 3
    output_full 0 1
fi
rm -f "$folder/disk/full"
memory_full size=4096 1 "/dev/shm/.*could not be begun: No space left on device"
[ -z "$whole" ] || memory_full ro 0 "/dev/shm/.*could not be begun: Read-only file system"
