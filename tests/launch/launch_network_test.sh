#!/bin/bash
# Two hosts with a network between them: the link goes down, a rank on the other host is killed or gets a
# notice, and the other host does not see the folder of checkpoints. Each host is a network namespace.
# Arguments: reel-mpirun, reel.
set -uo pipefail
if [ "$(id -u)" != 0 ] || ! command -v ip >/dev/null || ! unshare --net --mount --uts true 2>/dev/null; then
    echo "this machine allows no network namespaces, or has no iproute2: two hosts cannot be simulated"
    exit 77
fi
# named network namespaces are files of /run/netns: the test mounts its own
if [ -z "${REEL_TEST_NAMES:-}" ]; then
    REEL_TEST_NAMES=1 exec unshare --mount --net --uts "$0" "$@"
fi
mkdir -p /run
mount -t tmpfs none /run
mkdir -p /run/netns
ip link set lo up
source "$(dirname "$0")/launch_common.sh"
clean_more() {
    local name
    for name in 1 2 switch; do
        ip netns del "reel$name" 2>/dev/null
    done
}
ip netns add reelswitch
ip -n reelswitch link add br0 type bridge
ip -n reelswitch link set br0 up
printf '127.0.0.1 localhost\n10.77.0.1 reel1\n10.77.0.2 reel2\n' >"$folder/hosts"
mount --bind "$folder/hosts" /etc/hosts
for i in 1 2; do
    ip netns add "reel$i"
    ip link add "v$i" netns "reel$i" type veth peer name "p$i" netns reelswitch
    ip -n reelswitch link set "p$i" master br0 up
    ip -n "reel$i" link set lo up
    ip -n "reel$i" addr add "10.77.0.$i/24" dev "v$i"
    ip -n "reel$i" link set "v$i" up
done
cat >"$folder/agent" <<END
#!/bin/bash
host=\$1
shift
exec nsenter --net=/run/netns/\$host unshare --uts sh -c "hostname \$host; exec \$*" agent "$folder/"
END
chmod +x "$folder/agent"
write_job 128 96 40 2

# start RANKS ARGUMENT...: starts the job on both hosts, from the first.
start() {
    local ranks=$1
    shift
    : >"$said"
    TMPDIR=$folder nsenter --net=/run/netns/reel1 unshare --uts sh -c 'hostname reel1; exec "$@"' host \
        "$mpirun" --host reel1:2,reel2:2 --mca plm_rsh_agent "$folder/agent" \
        --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 -n "$ranks" \
        "$reel" run "$job" "$@" >"$said" 2>&1 &
    started=$!
    began=$SECONDS
    for _ in $(seq 300); do
        ! grep -q -e '^checkpoint:' -e 'error:' "$said" || return 0
        sleep 0.1
    done
    fail "it saves nothing"
}

# ended CODE SECONDS: the job ends with CODE within SECONDS after $began.
ended() {
    local left=$2
    while kill -0 "$started" 2>/dev/null && [ $((SECONDS - began)) -lt "$left" ]; do sleep 0.2; done
    kill -0 "$started" 2>/dev/null && fail "it still runs after $left s"
    wait "$started"
    code=$?
    echo "$what: exit $code after $((SECONDS - began)) s"
    [ $code = "$1" ] || fail "exit $code, expected $1"
}

# nobody_left: the ranks and daemons of both hosts end too.
nobody_left() {
    for _ in $(seq 100); do
        [ -n "$(pgrep -f "^$reel run $job")" ] || return 0
        sleep 0.1
    done
    fail "ranks are left: $(pgrep -af "$folder/")"
}

# The process id of a rank.
process_of() {
    local process
    for process in $(pgrep -f "^$reel run $job"); do
        if tr '\0' '\n' <"/proc/$process/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$1"; then
            echo "$process"
            return
        fi
    done
}

goes_on() {
    run 0 "$job"
    expect 0 "resumes from"
    ! grep -q warning: "$said" || fail "a warning"
    finished
}

what="two hosts"
from_begun
start 4
ended 0 60
finished

what="a notice to one rank of the other host"
from_begun
start 4
began=$SECONDS
kill -USR1 "$(process_of 3)"
ended 75 15
nobody_left
goes_on

what="a rank of the other host is killed"
from_begun
start 4
began=$SECONDS
kill -KILL "$(process_of 3)"
ended 12 15
nobody_left
goes_on

what="the link of the other host is down"
from_begun
start 4
began=$SECONDS
ip -n reelswitch link set p2 down
ended 12 60
grep -q -e "reel-mpirun: error: a host was lost" -e "reel: error: .*or the network is lost" "$said" ||
    fail "another message"
nobody_left
ip -n reelswitch link set p2 up
goes_on
