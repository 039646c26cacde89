#!/bin/bash
# No kernel of ours fuses a product and a sum, but for those of lanes_*.c, which say where: every instruction set gives the
# same bits.
# Usage: kernels_contraction_test.sh LIBRARY
set -uo pipefail
code=$(objdump -d --no-show-raw-insn "$1") || { echo "objdump cannot read $1"; exit 1; }
grep -q '<reel_gemm>' <<<"$code" || { echo "$1 does not hold the kernels"; exit 1; }
fused=$(awk '/file format/ {counts = $1 !~ /^lanes_([0-9]+(_bf16)?|amx)\./} counts' <<<"$code" | grep -c -E '\bvfn?m(add|sub)')
echo "$fused fused instructions"
[ "$fused" = 0 ]
