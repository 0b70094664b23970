# SPDX-License-Identifier: Apache-2.0
# What all shell tests share: TAP, a temporary folder, own network namespaces, a CA, waiting for a fact instead of for a time.
# Sourced first by each test; cleans up whatever it made, also when the test dies. Bash.
#
#   . "$(dirname "$0")/../lib.sh"
#   is "$got" want "what it means"; like "$got" 'regex' "..."; t "..." command...; skip "..." "reason"
#   done_testing

set -uo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-$ROOT/build}
EGRET=${EGRET:-$BUILD/bin/egret}
TESTS_RUN=0
TESTS_FAILED=0
export LC_ALL=C TZ=UTC
umask 022

# ---- TAP ----

diag() { sed 's/^/# /' <<<"$*"; }
pass() {
	TESTS_RUN=$((TESTS_RUN + 1))
	echo "ok $TESTS_RUN - $1"
}
fail() { # what it means, [more lines]
	TESTS_RUN=$((TESTS_RUN + 1))
	TESTS_FAILED=$((TESTS_FAILED + 1))
	echo "not ok $TESTS_RUN - $1"
	[ -z "${2:-}" ] || diag "$2"
	return 1
}
skip() { # what it means, reason
	TESTS_RUN=$((TESTS_RUN + 1))
	echo "ok $TESTS_RUN - $1 # SKIP $2"
}
skip_all() { # reason: nothing of this file can run here
	echo "1..0 # SKIP $1"
	exit 0
}
t() { # what it means, command...: it must succeed
	local what=$1 out
	shift
	if out=$("$@" 2>&1); then pass "$what"; else fail "$what" "status $? of: $*"$'\n'"$(tail -n 20 <<<"$out")"; fi
}
is() { if [ "$1" = "$2" ]; then pass "$3"; else fail "$3" "got:  $1"$'\n'"want: $2"; fi; }
isnt() { if [ "$1" != "$2" ]; then pass "$3"; else fail "$3" "got what it must not be: $1"; fi; }
like() { if grep -Eq -- "$2" <<<"$1"; then pass "$3"; else fail "$3" "got:  $(head -c 2000 <<<"$1")"$'\n'"want: /$2/"; fi; }
unlike() { if ! grep -Eq -- "$2" <<<"$1"; then pass "$3"; else fail "$3" "got:  $(head -c 2000 <<<"$1")"$'\n'"must not hold: /$2/"; fi; }
at_most() { if [ "$1" -le "$2" ]; then pass "$3 ($1)"; else fail "$3" "got $1, at most $2"; fi; }
done_testing() {
	[ -z "$(type -t before_done)" ] || before_done
	echo "1..$TESTS_RUN"
	[ "$TESTS_FAILED" = 0 ]
	exit
}

# What a runner unit's drop-in does to it (deploy/systemd/dropin): no capability that leads round egret on the host's network.
BOUND=(setpriv --bounding-set=-net_raw,-net_admin,-sys_admin)

need_root() { [ "$(id -u)" = 0 ] || skip_all "needs root"; }
need_egret() { [ -x "$EGRET" ] || { echo "not ok 1 - $EGRET is not built"; echo 1..1; exit 1; }; }
need() { # command...: skip the whole file without it
	local c
	for c; do command -v "$c" >/dev/null || skip_all "$c is not installed"; done
}

# ---- life and death ----

TMP=$(mktemp -d "${TMPDIR:-/tmp}/egret-test.XXXXXX") || exit 1
chmod 755 "$TMP"
PIDS=()
NETNS=()
HOSTNS=
HOSTMNT= # tests/engines.sh: the mount namespace of that host
AT_EXIT=()

at_exit() { AT_EXIT=("$1" "${AT_EXIT[@]}"); }
spawn() { # [in_host|in_origin] command...: in the background, ended with the test; its pid in $SPAWNED
	# A function would run in a subshell, and its pid would not be the program's.
	case $1 in
	in_host) set -- nsenter ${HOSTMNT:+--mount="$HOSTMNT"} --net="/run/netns/$HOSTNS" "${@:2}" ;;
	in_origin) set -- nsenter --net="/run/netns/$ORIGINNS" "${@:2}" ;;
	esac
	"$@" &
	SPAWNED=$!
	PIDS+=("$SPAWNED")
}
stop_pid() { # pid: asks, waits, insists
	kill "$1" 2>/dev/null || return 0
	wait_for 5 "! kill -0 $1" || kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 0
}
# Nothing of this test's egret stays, whatever was killed: first what runs in its namespace, which may be ending by itself, then pins and
# cgroups, which a short egretd on the same run_dir takes with it.
egret_sweep() {
	local name run
	[ -n "$HOSTNS" ] && compgen -G "$TMP/run*" >/dev/null || return 0
	wait_for 3 "[ -z \"\$(ip netns pids '$HOSTNS')\" ]" || kill -9 $(ip netns pids "$HOSTNS") 2>/dev/null
	wait_for 5 "[ -z \"\$(ip netns pids '$HOSTNS')\" ]"
	for run in "$TMP"/run*; do
		[ -d "$run" ] || continue
		name=$(egret_instance "$run")
		[ -d "/sys/fs/bpf/egret/$name" ] || [ -d "$(findmnt -nt cgroup2 -o TARGET | head -n 1)/egretd-$name.slice" ] || continue
		echo "{ \"state_dir\": \"$TMP/state\", \"run_dir\": \"$run\" }" >"$TMP/sweep.json"
		timeout -k 2 15 nsenter --net="/run/netns/$HOSTNS" "${EGRETD:-$BUILD/bin/egretd}" --config "$TMP/sweep.json" --once >/dev/null 2>&1
	done
}
egret_instance() { # run_dir: the name that egretd makes of it, for slices and pins
	local i hash=2166136261
	for ((i = 0; i < ${#1}; i++)); do hash=$(((hash ^ $(printf %d "'${1:i:1}")) * 16777619 & 0xffffffff)); done
	printf 'x%08x\n' $hash
}
cleanup() {
	local status=$? one
	trap - EXIT INT TERM HUP
	for one in "${AT_EXIT[@]}"; do eval "$one" >/dev/null 2>&1; done
	for one in "${PIDS[@]}"; do kill "$one" 2>/dev/null; done
	for one in "${PIDS[@]}"; do
		wait_for 5 "! kill -0 $one" || kill -9 "$one" 2>/dev/null
		wait "$one" 2>/dev/null
	done
	egret_sweep
	for one in "${NETNS[@]}"; do
		# Whatever is still in a namespace of ours was started by this test.
		kill -9 $(ip netns pids "$one" 2>/dev/null) 2>/dev/null
		ip netns del "$one" 2>/dev/null
	done
	if [ -n "${KEEP:-}" ]; then echo "# kept: $TMP"; else rm -rf --one-file-system "$TMP"; fi
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Every 30 ms, and what is waited for long more seldom, up to 100: a condition is a few programs.
wait_for() { # seconds, shell condition: polls until it holds
	local begun=${EPOCHREALTIME/./} now pause
	until eval "$2" 2>/dev/null; do
		now=${EPOCHREALTIME/./}
		[ $((now - begun)) -lt $(($1 * 1000000)) ] || return 1
		pause=$(((now - begun) / 10000))
		pause=$((pause < 30 ? 30 : pause > 100 ? 100 : pause))
		printf -v pause 0.%03d $pause
		sleep "$pause"
	done
}
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# ---- networks: always in namespaces of our own ----

# Two worlds and a cable: $HOSTNS is where egret (or the bare client) runs, $ORIGINNS is the outside world.
#   host 198.51.100.1, 2001:db8:51::1   origins 198.51.100.10 .20 .30, 2001:db8:51::10
ORIGINNS=
in_host() { nsenter ${HOSTMNT:+--mount="$HOSTMNT"} --net="/run/netns/$HOSTNS" "$@"; }
in_origin() { nsenter --net="/run/netns/$ORIGINNS" "$@"; }
net_up() {
	local id=$$
	HOSTNS=egret-h$id ORIGINNS=egret-o$id
	NETNS+=("$HOSTNS" "$ORIGINNS")
	ip netns add "$HOSTNS" && ip netns add "$ORIGINNS" || return 1
	ip link add "vh$id" netns "$HOSTNS" type veth peer name "vo$id" netns "$ORIGINNS" || return 1
	# bash: a busybox's shell would take its own ip.
	in_host bash -ec "ip link set lo up; ip link set vh$id up
		ip addr add 198.51.100.1/24 dev vh$id; ip -6 addr add 2001:db8:51::1/64 dev vh$id nodad"
	in_origin bash -ec "ip link set lo up; ip link set vo$id up
		for a in 10 20 30 53; do ip addr add 198.51.100.\$a/24 dev vo$id; done
		ip -6 addr add 2001:db8:51::10/64 dev vo$id nodad; ip -6 addr add 2001:db8:51::20/64 dev vo$id nodad"
}
port_open() { "$1" timeout 2 bash -c "exec 3<>/dev/tcp/$2/$3"; }
wait_port() { # in_host|in_origin, address, port
	wait_for 10 "port_open $1 $2 $3" || fail "port $3 of $2 answers" || return 1
}

# ---- a CA and its leaves: profiles that strict verifiers take ----

pki_ca() { # name: $TMP/name.pem, name.key
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=egret test $1" \
		-keyout "$TMP/$1.key" -out "$TMP/$1.pem" -addext 'basicConstraints=critical,CA:TRUE' \
		-addext 'keyUsage=critical,keyCertSign,cRLSign' 2>/dev/null
}
pki_leaf() { # ca, name, subjectAltName, [notbefore notafter as YYYYMMDDHHMMSSZ]: $TMP/name.pem, name.key
	local ca=$1 name=$2 san=$3 from=${4:-$(date -d yesterday +%Y%m%d000000Z)} to=${5:-$(date -d '30 days' +%Y%m%d000000Z)}
	# `openssl ca` is the only one of its commands that sets both dates.
	: >"$TMP/$name.db"
	cat >"$TMP/$name.cnf" <<-CNF
		[ca]
		default_ca = one
		[one]
		database = $TMP/$name.db
		new_certs_dir = $TMP
		rand_serial = yes
		default_md = sha256
		policy = any
		x509_extensions = leaf
		unique_subject = no
		[any]
		commonName = supplied
		[leaf]
		basicConstraints = critical,CA:FALSE
		keyUsage = critical,digitalSignature
		extendedKeyUsage = serverAuth
		subjectKeyIdentifier = hash
		authorityKeyIdentifier = keyid
		subjectAltName = ${san%,}
	CNF
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout "$TMP/$name.key" -out "$TMP/$name.csr" 2>/dev/null &&
		openssl ca -batch -notext -config "$TMP/$name.cnf" -cert "$TMP/$ca.pem" -keyfile "$TMP/$ca.key" -startdate "$from" -enddate "$to" \
			-in "$TMP/$name.csr" -out "$TMP/$name.pem" >"$TMP/$name.out" 2>&1 || { diag "$(tail -n 5 "$TMP/$name.out")"; return 1; }
}

# Helpers in C that stand alone (no library of egret's): built once into the test's own folder of build/.
helper() { # sink | scan: path on stdout
	local out="$BUILD/helpers/$1" src="$ROOT/deploy/demo/$1.c"
	if [ "$out" -nt "$src" ]; then
		echo "$out"
		return
	fi
	mkdir -p "$BUILD/helpers" && ${CC:-gcc} -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -o "$out.$$" "$src" && mv "$out.$$" "$out" && echo "$out"
}
