#!/bin/bash
# No kernel of ours spills registers or has a stack frame on any GPU; a planted spill is found.
# Usage: kernels_registers_test.sh REGISTERS BUILD
set -uo pipefail
"$1" "$2" || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -r "$folder"' EXIT
"$1" "$folder" 2>/dev/null
[ $? = 2 ] || { echo "a build without kernels passes"; exit 1; }
for file in $(find "$2" -name '*.registers' | head -1); do
    sed 's/ 0 bytes stack frame, 0 bytes spill stores/ 8 bytes stack frame, 4 bytes spill stores/' "$file" \
        >"$folder/planted.registers"
done
"$1" "$folder" >/dev/null 2>&1
[ $? = 1 ] || { echo "a kernel that spills passes"; exit 1; }
