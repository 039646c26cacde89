#!/bin/bash
# The program on GPUs: its CUDA and NCCL code runs with the fakes of both. Compares with the CPU, on meshes
# and transports; moves jobs from one device to the other; and fails where ranks have no GPU of their own or
# NCCL fails. Arguments: reel-mpirun, reel, reel_on_host; whole: runs everything.
set -uo pipefail
mpirun=$1
cpu=$2
gpu=$3
whole=${4:-}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export REEL_FAKE_GPUS=4 OMP_NUM_THREADS=1
# Gives each rank its own variable: the value of OF_RANK_<its number>, "NAME=value", enters its environment.
each=$folder/each
cat >"$each" <<END
#!/bin/bash
mine=OF_RANK_\$OMPI_COMM_WORLD_RANK
exec env \${!mine} "$gpu" "\$@"
END
chmod +x "$each"
cat >"$folder/job.yaml" <<'END'
model: {path: 'synthetic:tiny'}
video: {width: 64, height: 48, frames: 17}
diffusion_forcing: {base_frames: 9, overlap_frames: 5}
sampler: {steps: 3, guidance_scale: 4}
teacache: {mode: e, threshold: 0.9, coefficients: [1, 0]}
output: {latents: out.h5, log: log.jsonl}
END
fail() { echo "$what: $1"; cat "$folder/said"; exit 1; }

# make RANKS PROGRAM NAME ARGUMENT...: makes NAME.h5 from the start; sets code.
make() {
    local ranks=$1 program=$2 name=$3
    shift 3
    what="$name: $*"
    rm -rf "$folder/$name".h5* "$folder/log.jsonl"
    go_on "$ranks" "$program" "$name" "$@"
}
go_on() {
    local ranks=$1 program=$2 name=$3
    shift 3
    timeout --signal=KILL 100 "$mpirun" -n "$ranks" "$program" run "$folder/job.yaml" \
        --set output.latents="$folder/$name.h5" "$@" >"$folder/said" 2>&1
    code=$?
}
# near A B BOUND: checks that B is less than BOUND from A, but not equal; with BOUND 0 that they are equal.
near() {
    "$cpu" compare "$folder/$1.h5" "$folder/$2.h5" --json >"$folder/compared" || fail "$2 cannot be compared"
    local error
    error=$(grep -o '"relative_l2": [0-9.e+-]*' "$folder/compared" | head -1 | cut -d ' ' -f 2)
    awk -v e="$error" -v b="$3" 'BEGIN { exit !(b == 0 ? e == 0 : e > 0 && e < b) }' ||
        fail "$2 is $error from $1, expected less than $3"
}
done_well() { [ $code = 0 ] || fail "exit $code, expected 0"; }
refused() {
    [ $code = "$1" ] || fail "exit $code, expected $1"
    [ "$(grep -c 'reel: error: ' "$folder/said")" = 1 ] || fail "not one message"
    grep -q -- "$2" "$folder/said" || fail "another message than: $2"
}

make 1 "$cpu" cpu; done_well
make 1 "$cpu" cpu16 --set model.compute=bf16; done_well
near cpu cpu16 2e-2

# Every rank has a GPU of its own. Meshes that only move data change no bit, whatever the transport; the
# others sum in another order.
make 1 "$gpu" one --set model.compute=fp32; done_well
near cpu one 1e-5
for mesh in "cfg=2 ulysses=2" ${whole:+"cfg=1 ulysses=4 weights=gathered"}; do
    make 4 "$gpu" moved --set model.compute=fp32 $(printf -- "--set partition.%s " $mesh); done_well
    near one moved 0
done
[ "$(grep -c '^rank [0-3]: host .* local rank [0-3], .*GPU-.*, cores ' "$folder/said")" = 4 ] ||
    fail "not a line per rank"
[ "$(grep -c '"event": *"place"' "$folder/log.jsonl")" = 4 ] || fail "not an event per rank"
make 4 "$gpu" summed --set model.compute=fp32 --set partition.ring=2 --set partition.tensor=2; done_well
near one summed 5e-6

# bf16 is the default. Ranks that share one GPU exchange through host memory. Another fake seed reorders
# everything that has no defined order.
make 2 "$gpu" half --set partition.cfg=2; done_well
near cpu16 half 2e-2
REEL_FAKE_GPUS=1 make 2 "$gpu" shared --set partition.cfg=2 --set communication.transport=mpi; done_well
near half shared 0
if [ "$whole" ]; then
    REEL_FAKE_SEED=5 make 2 "$gpu" seeded --set partition.cfg=1 --set partition.ulysses=2 \
        --set partition.weights=gathered
    done_well
    near half seeded 0
    make 2 "$gpu" quarter --set model.compute=fp8 --set device=cuda; done_well
    near cpu16 quarter 2e-1
fi

# A video that was begun on one device resumes on the other, in the dtype that it was begun with.
make 2 "$gpu" fromgpu --set partition.cfg=2 --set video.frames=13; done_well
go_on 1 "$cpu" fromgpu --set device=cpu; done_well
near half fromgpu 2e-2
if [ "$whole" ]; then
    make 1 "$cpu" fromcpu --set video.frames=13; done_well
    go_on 2 "$gpu" fromcpu --set partition.cfg=2; done_well
    near cpu fromcpu 1e-5
    make 1 "$gpu" other --set video.frames=13; done_well
    go_on 1 "$gpu" other --set model.compute=fp32
    refused 4 'model.compute bf16, and the job has fp32'

    make 1 "$gpu" eighth --set model.compute=fp8 --set device=cuda --set video.frames=13; done_well
    REEL_FAKE_CAPABILITY=8.0 go_on 1 "$gpu" eighth
    refused 11 'the checkpoint is of an fp8 job and the GPU of rank 0 is older'
fi

# A program without CUDA makes the same plan for a GPU.
for compute in bf16 fp8; do
    what="plan $compute"
    for program in cpu gpu; do
        "${!program}" plan "$folder/job.yaml" --ranks 2 --device-memory 80GiB --json \
            --set model.compute=$compute >"$folder/$program.json" 2>"$folder/said" ||
            fail "exit $?, expected 0"
    done
    cmp -s "$folder/cpu.json" "$folder/gpu.json" || fail "the plans differ"
done

# A rank without a GPU of its own, or without any GPU, and settings that contradict each other.
REEL_FAKE_GPUS=1 make 2 "$gpu" none
refused 11 'shares GPU-.* with 1 other rank of its host, which sees 1 GPU, expected one per rank'
make 1 "$cpu" none --set device=cuda
refused 11 'device is cuda and rank 0 finds no GPU'
make 1 "$gpu" none --set device=cpu --set communication.transport=nccl
refused 2 'communication.transport is nccl and device is cpu'
REEL_FAKE_CAPABILITY=8.0 make 1 "$gpu" none --set device=cuda --set model.compute=fp8
refused 11 'compute capability 8.0, expected 8.9'
OF_RANK_1=REEL_FAKE_GPUS=0 make 2 "$each" none --set partition.cfg=2; done_well
grep -q '^warning: device is auto and rank 1 finds no GPU' "$folder/said" || fail "nobody is told of the CPU"
near cpu none 0

# NCCL fails on one rank, at the start and during the run: all ranks end soon.
REEL_NCCL_TROUBLE=init-fails:1:1 make 2 "$gpu" none --set partition.ring=2
refused 12 'NCCL, connecting on rank 1'
if [ "$whole" ]; then
    began=$SECONDS
    REEL_NCCL_TROUBLE=group-fails:1:3 make 2 "$gpu" none --set partition.ring=2 \
        --set communication.timeout_s=60
    refused 12 'made no progress for 5 s while sampling chunk 0, iteration 0: NCCL, exchanging on rank 1'
    [ $((SECONDS - began)) -le 30 ] || fail "it took $((SECONDS - began)) s to end"
    # Two ranks know of the failure, and one waits for them; only one prints an error.
    OF_RANK_0=REEL_NCCL_TROUBLE=group-fails:0:3 OF_RANK_1=REEL_NCCL_TROUBLE=group-fails:1:3 \
        make 3 "$each" none --set partition.ring=3 --set partition.cfg=1 --set communication.timeout_s=60
    refused 12 'NCCL, exchanging on rank 0'
fi

# A complete job needs no device, and there is nothing to profile.
go_on 1 "$cpu" cpu16 --set model.compute=bf16 --set device=cuda --profile "$folder/profile.json"
what="a complete job"
done_well
grep -q 'profile.json was not written: no iteration was left to compute' "$folder/said" ||
    fail "no word of the profile"

# In builds that can plant failures: one rank's failure becomes that of all ranks, in order with the exchanges
# of the others.
REEL_FAULT=job-read:0 make 1 "$gpu" none
[ $code = 2 ] && [ "$whole" ] || exit 0
for fault in "gemm:1:40 11 a GEMM failed" "ring:1:2 12 keys and values did not arrive" \
    "block:1:2 12 a block was not gathered" "copy:1:200 11 a copy failed"; do
    read -r site expected words <<<"$fault"
    for gpus in 3 1; do
        REEL_FAULT=$site REEL_FAKE_GPUS=$gpus make 3 "$gpu" none --set partition.ring=3 \
            --set partition.cfg=1 --set partition.weights=gathered --set communication.timeout_s=60 \
            --set communication.transport="$([ $gpus = 1 ] && echo mpi || echo nccl)"
        refused "$expected" "planted: $words"
    done
done
