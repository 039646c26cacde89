#!/bin/bash
# The sbatch templates of launch/cluster under a private Slurm, with a controller and two nodes on this
# machine. A job that gets a notice ends with 75, is requeued and continues to the bits of an undisturbed run.
# A job that fails, or was requeued as often as allowed, is not requeued. All processes live in a PID
# namespace and end with it. Arguments: reel-mpirun, reel.
set -uo pipefail
export PATH=$PATH:/usr/sbin:/sbin
mpirun=$1
reel=$2
namespaces=(--fork --kill-child --pid --mount-proc --uts)
if [ -z "${3:-}" ]; then
    [ "$(id -u)" = 0 ] || { echo "Slurm's nodes start jobs as any user: this needs root"; exit 77; }
    unshare "${namespaces[@]}" true 2>/dev/null || { echo "this machine allows no namespaces"; exit 77; }
    if ! type slurmctld slurmd sbatch munged &>/dev/null; then
        "$(dirname "$mpirun")/install-packages" slurmctld slurmd slurm-client munge >/dev/null 2>&1 ||
            { echo "Slurm is not installed and cannot be"; exit 77; }
    fi
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    unshare "${namespaces[@]}" "$0" "$@" "$folder"
    exit
fi
folder=$3

fail() {
    echo "$1"
    tail -n 15 "$folder"/*.said "$folder"/control.log
    exit 1
}

# eventually SECONDS COMMAND...: whether the command succeeds within this time.
eventually() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}

# --- a Slurm of one controller and two nodes ---
unset "${!SLURM@}" "${!SBATCH@}"
export SLURM_CONF=$folder/slurm.conf
export OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_oob_tcp_if_include=lo
export OMPI_MCA_btl_vader_backing_directory=$folder # files of killed ranks are removed with the folder
port=$((20000 + RANDOM % 10000))
hostname reel-control
mkdir "$folder/state" "$folder/reel-1" "$folder/reel-2"
touch "$folder"/gpu{0..7}
chmod 755 "$folder" # munge requires that all users reach its socket
# cred_expire is also the least time that a requeued job waits. TmpFS: both nodes share /tmp, and pmix needs a
# folder per node.
cat >"$SLURM_CONF" <<EOF
ClusterName=reel
SlurmctldHost=reel-control(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/control.pid
SlurmctldLogFile=$folder/control.log
SlurmdSpoolDir=$folder/%n
SlurmdPidFile=$folder/%n.pid
SlurmdLogFile=$folder/%n.log
TmpFS=$folder/%n
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=bf_interval=1,sched_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=reel-1 NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=64 Gres=gpu:8
NodeName=reel-2 NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=64 Gres=gpu:8
PartitionName=low Nodes=reel-[1-2] Default=YES PriorityTier=1 GraceTime=60
PartitionName=high Nodes=reel-[1-2] PriorityTier=2
EOF
echo "Name=gpu File=$folder/gpu[0-7]" >"$folder/gres.conf"
(umask 077 && head -c 128 /dev/urandom >"$folder/munge.key")
munged --foreground --socket="$folder/munge.socket" --key-file="$folder/munge.key" \
    --pid-file="$folder/munge.pid" --seed-file="$folder/munge.seed" --log-file="$folder/munge.log" \
    &>"$folder/munge.said" &
eventually 10 [ -S "$folder/munge.socket" ] || fail "munged does not start"
slurmctld -D &>/dev/null &
for node in reel-1 reel-2; do
    unshare --uts sh -c "hostname $node; exec slurmd -D -N $node" &>/dev/null &
done
nodes_are_idle() { [ "$(sinfo --noheader --format=%D/%T --partition=low 2>/dev/null)" = 2/idle ]; }
eventually 30 nodes_are_idle || fail "Slurm does not start"

# --- jobs ---
cd "$(dirname "$mpirun")/.." || exit 1
export REEL=$reel
cat >"$folder/job.yaml" <<EOF
model: {path: 'synthetic:tiny'}
video: {width: 256, height: 160, frames: 33}
sampler: {steps: 60}
checkpoint: {grace: 5s}
output: {latents: reference.h5, log: reference.jsonl}
EOF
sed 's/steps: 60/steps: 1000/' "$folder/job.yaml" >"$folder/long.yaml"
sed 's/frames: 33/frames: 34/' "$folder/job.yaml" >"$folder/wrong.yaml"

# submit NAME JOB OPTION... TEMPLATE
submit() {
    name=$1
    id=$(sbatch --parsable --output="$folder/$name.said" "${@:3}" "$folder/$2" \
        --set "output.latents=$folder/$name.h5" --set "output.log=$folder/$name.jsonl") ||
        fail "$name: not accepted"
}
field() { scontrol --oneliner show job "$id" | grep -o "\b$1=[^ ]*" | cut -d = -f 2; }
is() { [ "$(field "$1")" = "$2" ]; }
steps() { grep -os '"event":"step","chunk":0,"iteration":[0-9]*' "$folder/$name.jsonl"; }
made() { [ "$(steps | wc -l)" -ge "$1" ]; }
under_way() { eventually 120 made $(($(steps | wc -l) + 5)) || fail "$name: no steps"; }
# At most one step was made twice: the one that a notice interrupted.
went_on() { [ $(($(steps | wc -l) - $(steps | sort -u | wc -l))) -le 1 ] || fail "$name: it began anew"; }
preempt() { sbatch --partition=high --nodes=2 --exclusive --output=/dev/null --wrap 'sleep 1' >/dev/null; }
requeued() { eventually "$1" is Restarts 1 || fail "$name: not requeued"; }

# ended STATE CODE RESTARTS
ended() {
    eventually 240 is JobState "$1" || fail "$name: $(field JobState), expected $1"
    is ExitCode "$2" || fail "$name: exit $(field ExitCode), expected $2"
    is Restarts "$3" || fail "$name: $(field Restarts) restarts, expected $3"
    [ ! -e "/tmp/reel-$id" ] || fail "$name: its TMPDIR is left"
    echo "$name: $SECONDS s"
}

# The job continued to its end and has the reference's bits.
continued() {
    ended COMPLETED 0:0 1
    went_on
    "$reel" compare "$folder/reference.h5" "$folder/$name.h5" | grep -q 'B is identical to A' ||
        fail "$name: not the latents of the undisturbed run"
}

"$mpirun" -n 2 "$reel" run "$folder/job.yaml" &>"$folder/reference.said" || fail "the undisturbed run fails"
one=(--nodes=1 --ntasks-per-node=2)
two=(--nodes=2 --ntasks-per-node=1)

submit mpirun-preempted job.yaml "${one[@]}" launch/cluster/mpirun.sbatch
under_way
preempt
requeued 60
continued

submit srun-preempted job.yaml "${two[@]}" launch/cluster/srun.sbatch
under_way
preempt
requeued 60
continued

# Slurm sends the signal at most a minute before these 150 s.
submit mpirun-out-of-time long.yaml "${two[@]}" --time=3 --signal=B:USR1@150 launch/cluster/mpirun.sbatch
requeued 90
under_way
went_on
scancel "$id"
ended CANCELLED 0:15 1

for template in mpirun srun; do
    batch=()
    [ $template = srun ] || batch=(--batch)
    REEL_REQUEUES=1 submit $template-bounded long.yaml "${one[@]}" launch/cluster/$template.sbatch
    under_way
    scancel "${batch[@]}" --signal=USR1 "$id"
    requeued 60
    under_way
    went_on
    scancel "${batch[@]}" --signal=USR1 "$id"
    ended FAILED 75:0 1

    submit $template-refused wrong.yaml "${one[@]}" launch/cluster/$template.sbatch
    ended FAILED 2:0 0
done
