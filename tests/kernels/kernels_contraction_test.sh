#!/bin/bash
# No kernel of ours contracts a product and a sum to an fma, except simd_*.c, where fma is explicit. So every
# instruction set gives the same bits.
# Usage: kernels_contraction_test.sh LIBRARY...
set -uo pipefail
code=$(objdump -d --no-show-raw-insn "$@") || { echo "objdump cannot read $*"; exit 1; }
for function in reel_gemm reel_gemm_cpu reel_layer_norm_cpu; do
    grep -q "<$function>" <<<"$code" || { echo "$* do not hold $function"; exit 1; }
done
fused=$(awk '/file format/ {counts = $1 !~ /^simd_([0-9]+(_bf16)?|amx)\./} counts' <<<"$code" |
    grep -c -E '\bvfn?m(add|sub)')
echo "$fused fused instructions"
[ "$fused" = 0 ]
