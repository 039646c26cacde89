#!/bin/bash
# The structure of the source tree: a folder includes and links only folders that come earlier in the list
# `rooms`, no file includes itself by a detour, files stay under 500 lines, nine of ten functions under 50,
# no line is over 110 columns, and READMEs name source files that exist. Every rule is also broken once, in a
# copy, to see that the test would notice.
# Usage: house_test.sh SOURCE
set -uo pipefail
source=$(realpath "$1")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The folders (rooms), from base up to launch. A folder may include and link only folders that come earlier in
# this list; the messages call those "below" it.
rooms="runtime/base partition/networks partition kernels kernels/cpu/simd kernels/cpu kernels/shadow kernels/cuda
    runtime/schedule runtime/comm runtime/storage runtime/memory runtime/models runtime/models/transformer runtime/checkpoint runtime/output
    runtime/sampling launch/job launch/plot launch launch/plan launch/inspect launch/compare launch/calibrate"

sources() { find "$1"/{partition,kernels,runtime,launch} -name '*.[ch]' -o -name '*.cu' -path '*kernels*' | sort; }

# Every folder with sources is a room of the list.
check_rooms() {
    local found
    found=$(sources "$1" | sed "s#^$1/##; s#/[^/]*\$##" | sort -u | grep -vxF "$(tr -s ' \n' '\n' <<<"$rooms")")
    [ -z "$found" ] || { echo "no room of house_test.sh: $found"; return 1; }
}

# Reads "folder file included" lines; names are unique, so that a name is a file.
check_includes() {
    sources "$1" | xargs grep -HoE '^ *# *include +"[^"]+"' |
        sed -E "s#^$1/##; s#:.*\"([^\"]+)\"# \1#" |
        awk -v rooms="$rooms" -v files="$(sources "$1" | sed "s#^$1/##")" '
        function folder(path) { sub(/\/[^\/]*$/, "", path); return path }
        function name(path) { sub(/^.*\//, "", path); return path }
        BEGIN {
            count = split(rooms, list)
            for (i = 1; i <= count; i++)
                floor[list[i]] = i
            count = split(files, list, "\n")
            for (i = 1; i <= count; i++) {
                if (name(list[i]) in at) {
                    print "two files are named " name(list[i]) ": " at[name(list[i])] " and " list[i]
                    bad = 1
                }
                at[name(list[i])] = list[i]
            }
        }
        $2 in at {
            edges++
            from = $1
            to = at[$2]
            if (floor[folder(to)] > floor[folder(from)]) {
                print from " includes " to ", which is above it"
                bad = 1
            }
            needs[to]++
            out[from] = out[from] " " to
        }
        END { # files that nobody includes are taken away until none is left: what stays is a circle
            for (i = 1; i <= count; i++)
                left[list[i]] = 1
            do {
                taken = 0
                for (file in left)
                    if (needs[file] == 0) {
                        n = split(out[file], targets)
                        for (t = 1; t <= n; t++)
                            needs[targets[t]]--
                        delete left[file]
                        taken = 1
                    }
            } while (taken)
            for (file in left) {
                print file " is part of a circle of includes, or included by one"
                bad = 1
            }
            if (edges < 300) {
                print "only " edges " includes were found"
                bad = 1
            }
            exit bad
        }'
}

# The libraries that the CMakeLists.txt of a room links, against the folders that define them.
check_links() {
    local room
    for room in $rooms; do
        tr '\n' ' ' <"$1/$room/CMakeLists.txt" | grep -oE 'reel_library\([^)]*\)' | sed "s#^#$room #"
    done | awk -v rooms="$rooms" '
        BEGIN {
            count = split(rooms, list)
            for (i = 1; i <= count; i++)
                floor[list[i]] = i
        }
        {
            sub(/reel_library\( */, "")
            room[NR] = $1
            library[NR] = $2
            at[$2] = $1
            line[NR] = $0
        }
        END {
            for (l = 1; l <= NR; l++) {
                n = split(line[l], word, /[ ()]+/)
                for (w = 3; w <= n; w++)
                    if (word[w] in at) {
                        links++
                        if (floor[at[word[w]]] >= floor[room[l]]) {
                            print library[l] " links " word[w] ", which is not below it"
                            bad = 1
                        }
                    }
            }
            if (NR != count || links < 30) {
                print NR " libraries with " links " links were found, expected one a room"
                bad = 1
            }
            exit bad
        }'
}

check_sizes() {
    {
        sources "$1"
        find "$1/tests" -name '*.[ch]' -o -name '*.cu' -o -name '*.cpp'
    } | xargs awk -v root="$1/" '
        FNR == 1 { begun = 0 }
        length($0) > 110 { print substr(FILENAME, length(root) + 1) ":" FNR ": " length($0) " columns"; bad = 1 }
        FNR == 501 { print substr(FILENAME, length(root) + 1) " has more than 500 lines"; bad = 1 }
        /^{/ { begun = FNR }
        /^}/ && begun { functions++; over += FNR - begun - 1 >= 50; begun = 0 }
        END {
            if (functions < 2000 || over * 10 > functions) {
                print over " of " functions " functions have 50 lines or more"
                bad = 1
            }
            exit bad
        }'
}

# Every source file that a README names exists.
check_readmes() {
    local names missing
    names=$(cd "$1" && find partition kernels runtime launch tests -type f | sed 's#.*/##' | sort -u)
    missing=$(cd "$1" && find partition kernels runtime launch tests -name README.md -print0 |
        xargs -0 grep -oE '\b[a-z][a-z_0-9]*\.(c|h|cu|cpp|sh)\b' | awk -F: '
            NR == FNR { at[$0] = 1; next }
            !($2 in at) { print $1 " names " $2 ", which does not exist" }' <(echo "$names") -)
    [ -z "$missing" ] || { echo "$missing"; return 1; }
}

check_all() {
    check_rooms "$1" && check_includes "$1" && check_links "$1" && check_sizes "$1" && check_readmes "$1"
}

check_all "$source" || exit 1

# torn WHAT SENTENCE: the copy, in which a wall is torn down, is noticed by this sentence; then it is mended.
copy=$scratch/copy
torn() {
    local found
    if found=$(check_all "$copy"); then
        echo "not noticed: $1"
        exit 1
    fi
    grep -qE "$2" <<<"$found" || { printf '%s is said otherwise:\n%s\n' "$1" "$found"; exit 1; }
    rm -rf "$copy"
    lay_copy
}
lay_copy() {
    mkdir "$copy"
    (cd "$source" && tar --exclude='*.safetensors' -cf - partition kernels runtime launch tests) |
        tar -xf - -C "$copy"
}
lay_copy
echo '#include "comm.h"' >>"$copy/partition/cut.h"
torn "an include that points up" '^partition/cut.h includes runtime/comm/comm.h, which is above it'
echo '#include "plan.h"' >>"$copy/partition/cut.h"
torn "a circle of includes" '^partition/cut.h is part of a circle'
sed -i 's/PUBLIC reel_storage reel_comm/PUBLIC reel_storage reel_comm reel_sampling/' "$copy/runtime/memory/CMakeLists.txt"
torn "a link that points up" '^reel_memory links reel_sampling, which is not below it'
echo '`attic.c`' >>"$copy/partition/README.md"
torn "a README of a file that is gone" '^partition/README.md names attic.c, which does not exist'
cp "$copy/partition/cut.c" "$copy/launch/cut.c"
torn "two files of one name" '^two files are named cut.c'
mkdir "$copy/runtime/attic" && echo 'int attic;' >"$copy/runtime/attic/attic.c"
torn "a folder that is no room" '^no room of house_test.sh: runtime/attic'
for _ in {1..500}; do echo; done >>"$copy/partition/cut.c"
torn "a long file" '^partition/cut.c has more than 500 lines'
printf '/* %0120d */\n' 0 >>"$copy/partition/cut.c"
torn "a long line" '^partition/cut.c:[0-9]+: 126 columns'
for _ in {1..600}; do echo '{'; for _ in {1..50}; do echo; done; echo '}'; done | split -l 480 - "$copy/partition/long_" \
    --additional-suffix=.c
torn "long functions" 'functions have 50 lines or more'
