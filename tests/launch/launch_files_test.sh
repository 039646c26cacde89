#!/bin/bash
# Calls on files that fail. A checkpoint that cannot be written is refused, the previous one stays, nothing
# hangs, and the run continues or stops as its job says. Arguments: reel-mpirun, reel, the library
# preload_faults, and whole for every fault on 1, 2 and 3 ranks.
set -uo pipefail
source "$(dirname "$0")/launch_common.sh"
library=$1
whole=${2:-}
write_job 64 48

# disturbed RANKS RANK FAULT FILES ARGUMENT...: a run with this fault on this rank, or on all ranks when RANK
# is -.
disturbed() {
    local ranks=$1 rank=$2 fault=$3 files=$4
    shift 4
    with=(env LD_PRELOAD="$library" DISTURB_FAULT="$fault" DISTURB_FILES="$files")
    [ "$rank" = - ] || [ "$ranks" = 0 ] || with+=(DISTURB_RANK="$rank")
    run "$ranks" "$job" "$@"
    with=()
}

# refuses RANKS RANK FAULT FILES SENTENCE [TIMES]: with on_error=stop the run ends with 5 and leaves the
# previous checkpoint. From there, a run with on_error=continue warns TIMES times and finishes. (A fault
# without an end affects all three saves.)
refuses() {
    what="$3 on rank $2 of $1"
    from_begun
    disturbed "$1" "$2" "$3" "$4" --set checkpoint.on_error=stop
    expect 5 "$5"
    kept
    disturbed "$1" "$2" "$3" "$4"
    expect 0
    warned "${6:-1}" "$5"
    finished
}

# passes RANKS RANK FAULT FILES: the fault has no effect.
passes() {
    what="$3 on rank $2 of $1"
    from_begun
    disturbed "$1" "$2" "$3" "$4" --set checkpoint.on_error=stop
    expect 0
    warned 0
    finished
}

# stops RANKS RANK FAULT FILES SENTENCE: the output cannot be written. The run ends with 5, the checkpoint is
# unchanged, and without the fault the job resumes from it.
stops() {
    what="$3 on the output, $1 ranks"
    from_begun
    disturbed "$1" "$2" "$3" "$4"
    expect 5 "$5"
    nothing_aside
    [ ! -e "$folder/out/out.h5" ] || fail "there is an output"
    cmp -s "$folder/begun.h5" "$cp/checkpoint-000001.h5" || fail "the checkpoint has changed"
    resumes 1
}

error="Input/output error"
aside=$cp/.checkpoint-000002
part="could not write its part of the checkpoint"

# Calls that rank 0 makes for all ranks.
of_first() {
    refuses "$1" 0 reserve:1:ENOSPC "$aside" \
        "there is no room for a checkpoint of [0-9]* bytes: No space left on device"
    refuses "$1" 0 rename:1:EIO "$cp/checkpoint-000002" "could not take the new checkpoint: $error"
    refuses "$1" 0 open:1:EACCES "$aside" "could not be begun: Permission denied"
    [ -n "$whole" ] || return 0
    refuses "$1" 0 reserve:1:EDQUOT "$aside" \
        "there is no room for a checkpoint of [0-9]* bytes: Disk quota exceeded"
    refuses "$1" 0 close:1:EIO "$aside" "could not be begun: $error"
    refuses "$1" 0 read:1:EIO "$aside" "cannot be read at byte [0-9]*: $error"
    for call in 1 2 3 4; do # the skeleton and the checksums
        refuses "$1" 0 write:$call:EIO "$aside" "could not be written: $error"
    done
    refuses "$1" 0 write:2+:ENOSPC "$aside" "could not be written: No space left on device" 3
    refuses "$1" 0 write:5:EIO "$aside" "$part"
    stops "$1" 0 rename:1:EIO /out/.reel "output.latents could not be put in place: $error"
    stops "$1" 0 sync:1:EIO /out/.reel "output.latents could not be flushed: $error"
    stops "$1" 0 open:2:EACCES /out/.reel "output.latents could not be written: Permission denied"
    stops "$1" 0 close:2:EIO /out/.reel "output.latents could not be closed: $error"
    stops "$1" 0 write:1+:ENOSPC /out/.reel "output.latents could not be written: No space left on device"
    passes "$1" 0 write:1+:short /out/.reel
}

# Calls of a rank that is not the first.
of_other() {
    refuses "$1" "$2" write:1:EIO "$aside" "rank $2 $part"
    refuses "$1" "$2" sync:1:EIO "$aside" "could not be flushed: $error"
    [ -n "$whole" ] || return 0
    for call in 2 3 4; do
        refuses "$1" "$2" write:$call:EIO "$aside" "rank $2 $part"
    done
    refuses "$1" "$2" write:1+:EIO "$aside" "rank $2 $part" 3
    refuses "$1" "$2" write:2+:ENOSPC "$aside" "rank $2 $part" 3 # copy on write: the reserved space is gone
    refuses "$1" "$2" write:1+:EDQUOT "$aside" "rank $2 $part" 3
    refuses "$1" "$2" sync:1:ENOSPC "$aside" "could not be flushed: No space left on device"
    refuses "$1" "$2" open:1+:EACCES "$aside" "parallel HDF5 cannot open the checkpoint" 3
    # a rank other than 0 may first read when it opens the arrays
    refuses "$1" "$2" read:1:EIO "$aside" "parallel HDF5 \(cannot open\|does not find the arrays of\) the checkpoint"
    passes "$1" "$2" read:1+:short "$aside"
}

of_first 0
of_other 3 1
passes 3 - write:1+:short "$aside"
passes 3 - reserve:1+:EOPNOTSUPP "$cp/.checkpoint" # a file system that cannot reserve space
stops 0 0 write:1:EIO /out/.reel "output.latents could not be written: $error"
refuses 3 - write:5:ENOSPC "$cp/.checkpoint" "$part" # on all ranks that make so many writes, at the same time
if [ -n "$whole" ]; then
    for ranks in 1 2 3; do
        of_first $ranks
    done
    of_other 2 1
    of_other 3 2
    # the directory's flush fails: the checkpoint is in place and complete
    what="a folder that cannot be flushed"
    from_begun
    disturbed 3 0 sync:2:EIO "$cp" --set checkpoint.on_error=stop
    expect 5 "checkpoint.directory could not be flushed: $error"
    nothing_aside
    resumes 2
fi
