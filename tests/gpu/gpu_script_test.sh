#!/bin/bash
# The table of tests/gpu/run: its row for each test and operation, and its exit code. Checked on results that
# are made up here, and on those of the benchmark at tiny sizes on the CPU.
#     gpu_script_test.sh GPU_BENCH
set -u
bench=$(realpath "$1") table=$(realpath "$(dirname "$0")/table")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "$1"; cat "$folder/said"; exit 1; }

# Results of two tests and two operations without a failure.
begin() {
    rm -rf "${folder:?}/results"
    mkdir -p "$folder/results/logs"
    cd "$folder/results" || exit 1
    printf '%s\n' 'configure passed 3' 'build passed 60' >stages
    printf '%s\n' forward_1_rank forward_2_ranks >tests.names
    printf '%s\n' 'forward_1_rank passed 12' 'forward_2_ranks skipped 1' >tests
    printf '%s\n' '7: result: official error 5.4e-07 bound 1e-05' \
        '7: result: one-rank error 3e-07 bound 1e-06' >logs/forward_1_rank.log
    printf '%s\n' ceiling.gemm-bf16 14b.8190.gemm.ffn-in peer >bench.names
    printf '%s\n' 'device: something' \
        'bench: ceiling.gemm-bf16 time 0.0014 rate 780.1 TFLOP/s floor 0 fraction 0' \
        'bench: 14b.8190.gemm.ffn-in time 0.00161 rate 720 TFLOP/s floor 0.00148 fraction 0.922' \
        'bench: peer skipped: no PyTorch' >bench.log
}

# expect CODE ROW...: the exit code, and rows that contain these words, with any number of blanks between
# them.
expect() {
    local code=$1 found
    shift
    "$table" "$folder/results" >"$folder/said" 2>&1
    found=$?
    [ $found = "$code" ] || fail "$what: exit $found, expected $code"
    for row in "$@"; do
        tr -s ' ' <"$folder/said" | grep -qxF -- "$row" || fail "$what: no row \"$row\""
    done
}

what='all is well'
begin
expect 0 'configure passed 3' 'build passed 60' 'forward_1_rank passed 12 3e-07 1e-06' \
    'forward_2_ranks skipped 1' 'ceiling.gemm-bf16 0.0014 780.1 TFLOP/s' \
    '14b.8190.gemm.ffn-in 0.00161 720 TFLOP/s 0.00148 0.922' 'peer skipped' \
    '2 tests ran, 1 of them skipped; 2 operations measured; 0 failures; 0 not reached'

what='a test that failed'
begin
printf '%s\n' 'forward_1_rank failed 12' 'forward_2_ranks passed 1' >tests
expect 1 'forward_1_rank failed 12 3e-07 1e-06' \
    '2 tests ran, 0 of them skipped; 2 operations measured; 1 failures; 0 not reached'

what='a test that ran out of time'
begin
printf '%s\n' 'forward_1_rank timeout 120' 'forward_2_ranks passed 1' >tests
expect 1 'forward_1_rank timeout 120 3e-07 1e-06'

what='a test that was not reached'
begin
sed -i 2d tests
expect 1 'forward_2_ranks not reached' \
    '1 tests ran, 0 of them skipped; 2 operations measured; 0 failures; 1 not reached'

what='an error that is no number'
begin
echo '7: result: one-rank error inf bound 1' >>logs/forward_1_rank.log
expect 0 'forward_1_rank passed 12 inf 1'

what='an operation that failed'
begin
sed -i '3s/.*/bench: 14b.8190.gemm.ffn-in failed: CUDA refused/' bench.log
expect 1 '14b.8190.gemm.ffn-in failed'

what='an operation that was not reached'
begin
sed -i 3d bench.log
expect 1 '14b.8190.gemm.ffn-in not reached'

what='a build that failed'
begin
sed -i 's/build passed/build failed/' stages
rm tests tests.names bench.names bench.log
expect 1 'build failed 60' '0 tests ran, 0 of them skipped; 0 operations measured; 1 failures; 0 not reached'

what='the benchmark itself'
begin
"$bench" cpu >bench.log || fail "$what: exit $?"
sed -n 's/^bench: \([^ ]*\) .*/\1/p' bench.log >bench.names
[ "$(wc -l <bench.names)" -ge 40 ] || fail "$what: $(wc -l <bench.names) operations"
count=$(wc -l <bench.names)
expect 0 "2 tests ran, 1 of them skipped; $count operations measured; 0 failures; 0 not reached"
operations() { grep -oE '(ceiling|gemm|attention|pass|latents)[.].*' "$@" | sort -u; }
kinds=$("$bench" names | operations -)
here=$(operations bench.names)
[ "$kinds" = "$here" ] || fail "$what: it names other operations than it measures"
