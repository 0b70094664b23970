# SPDX-License-Identifier: Apache-2.0
# A runner host: a standing egretd that manages real engines and a runner's unit, and a stand-in of GitHub's runner. Sourced after lib.sh,
# origins.sh, daemon.sh and engines.sh.
#
#   host_up ['managed' members]      origins, namespaces, egretd; policy `web` for jobs with repo=web, event=push is the test's to install
#   host_docker [dockerd args]       dockerd with egret-runc as its default runtime (HOST_RUNTIME=runc: without), containers below the slice
#   runner_job DIR KEY=VALUE...      a job as GitHub's runner would run it; see there

EGRET_RUNC=${EGRET_RUNC:-$BUILD/bin/egret-runc}
HOST_BOUND=("${BOUND[@]}") # what starts a runner's unit
HOST_UNIT=actions.runner.acme.one.service # the runner's unit; more by runner_unit

host_up() { # [further members of the configuration]
	origins_up
	engines_up
	SLICE=/egret-$(egret_instance "$TMP/run").slice
	daemon_config "\"managed\": [ ${HOST_MANAGED:-$(host_managed)} ]${1:+, $1}"
	daemon_start || exit 1
}
# What a host of GitHub's runners says: docker's containers, and the units whose uid may register.
host_managed() { # [members of the engine's entry]
	printf '{ "engine": "docker", "root": "%s"%s }, { "unit": "actions.runner.*.service", "registrar": "%s" }' "$TMP/docker/data" \
		"${1:+, $1}" "${HOST_REGISTRAR:-nobody}"
}
host_docker() {
	DOCKER_PARENT=$SLICE/docker
	if [ "${HOST_RUNTIME:-egret}" = egret ]; then
		[ -x "$EGRET_RUNC" ] || { fail "$EGRET_RUNC is built"; exit 1; }
		DOCKER_RUNTIME="egret $EGRET_RUNC --egret-run-dir=$TMP/run --egret-engine=docker"
	else
		DOCKER_RUNTIME=
	fi
	docker_up "$@" || exit 1
}
# For who runs a runtime by a name or a path only: a folder with egret-runc as `runc` and the arguments that a test needs. Which engine
# calls is not among them.
runc_beside() { # the path
	mkdir -p "$TMP/beside"
	printf '#!/bin/sh\nexec "%s" --egret-run-dir="%s" --egret-runtime="%s" "$@"\n' "$EGRET_RUNC" "$TMP/run" "$(type -P runc)" >"$TMP/beside/runc"
	chmod 755 "$TMP/beside/runc"
	echo "$TMP/beside/runc"
}
host_restart() { # egretd again, with what it left
	daemon_stop
	daemon_start
}

# An admin's registration: a job that has containers only. Prints its name.
host_register() { # repo, [egret job register's options]
	in_host "$EGRET" job register --provider generic --worker none --label "repo=$1" --label event=push "${@:2}" 2>&1
}
job_end() { in_host "$EGRET" job end "$1" >/dev/null 2>&1; }
job_names() { in_host "$EGRET" job list --json 2>/dev/null | jq -r 'if type == "array" then .[] else . end | .id' 2>/dev/null; }
job_show() { in_host "$EGRET" job show "$@" 2>&1; }

# What each client says of an allowed and of a refused address, in one container; the caller compares.
ALLOWED=https://api.test/hello.txt
REFUSED=https://evil.test/
refusal='Blocked by egret|no rule allows|egret'

# ---- the runner's stand-in ----
#
# It does what actions/runner does on a host, in its order: Runner.Worker in the unit's cgroup and as the runner's user; the job-started hook with the
# job's environment; docker network create; docker create and start of the services and of the job's container, with the label of six digits; each step by
# docker exec, or on the host; docker rm, network rm; the job-completed hook. It is bash: what is tested is egret and not the runner.
HOST_UID=65534
HOST_DOCKER_GID=65533 # dockerd's socket is this group's, and the runner is in it
runner_make() { # folder, name: as config.sh leaves it
	mkdir -p "$1/_work/_temp" "$1/bin"
	printf '{\n  "agentId": %d,\n  "agentName": "%s",\n  "gitHubUrl": "https://github.test/acme"\n}' $RANDOM "$2" >"$1/.runner"
	cat >"$1/bin/Runner.Worker" <<'WORKER'
#!/bin/bash
# The job is a script, $1; its functions are what the runner does.
set -u
ROOT_DIR=$(cd "$(dirname "$0")/.." && pwd)
hex() { head -c "$1" /dev/urandom | od -An -tx1 | tr -d ' \n'; }
LABEL=$(tr 'A-Z' 'a-z' <"$ROOT_DIR/.runner" | sha256sum | cut -c1-6)
NETWORK=github_network_$(hex 16)
CONTAINERS=()
wait_file() { local i; for ((i = 0; i < 1200; i++)); do [ ! -e "$1" ] || return 0; sleep 0.05; done; return 1; }
ENV_NAMES=()
# The hook's failure is the job's. What it wrote to GITHUB_ENV is in every later step, those in containers too (docker exec -e).
started() {
	local line
	export GITHUB_ENV=$RUNNER_TEMP/set_env
	: >"$GITHUB_ENV"
	"$HOOK_STARTED" || return 1
	while IFS= read -r line; do export "${line?}"; ENV_NAMES+=(-e "${line%%=*}"); done <"$GITHUB_ENV"
}
completed() { [ -z "${HOOK_COMPLETED:-}" ] || "$HOOK_COMPLETED"; }
network() { docker network create --label "$LABEL" "$NETWORK" >/dev/null; }
container() { # name on the network ("" for the job's), image, options...: its id in $C
	local alias=$1 image=$2
	shift 2
	C=$(docker create --name "${alias:-job}_$(hex 3)" --label "$LABEL" --network "$NETWORK" ${alias:+--network-alias "$alias"} -e GITHUB_ACTIONS=true -e CI=true \
		-v "$ROOT_DIR/_work:/__w" "$@" "$image" ${COMMAND-tail -f /dev/null}) && CONTAINERS+=("$C") && docker start "$C" >/dev/null
}
service() { COMMAND= container "$@"; }
step() { # a script, in the job's container
	printf '%s\n' "$1" >"$ROOT_DIR/_work/_temp/step.sh"
	docker exec -i -e GITHUB_ACTIONS=true "${ENV_NAMES[@]}" --workdir /__w "$JOB_C" sh -e /__w/_temp/step.sh
}
finish() {
	[ ${#CONTAINERS[@]} = 0 ] || docker rm -f "${CONTAINERS[@]}" >/dev/null
	docker network rm "$NETWORK" >/dev/null 2>&1
	completed
}
source "$1"
WORKER
	chmod 755 "$1/bin/Runner.Worker"
	chown -R $HOST_UID "$1"
}
runner_hooks() { # the hooks that a host installs, or what they do where they are not built yet
	HOOK_STARTED=$TMP/hook-started HOOK_COMPLETED=$TMP/hook-completed
	printf '#!/bin/sh\nexec "%s" job register --provider github --trust "$RUNNER_TEMP/egret" --env "$GITHUB_ENV" ${REGISTER_OPTS:-}\n' "$EGRET" >"$HOOK_STARTED"
	printf '#!/bin/sh\nexec "%s" job end\n' "$EGRET" >"$HOOK_COMPLETED"
	chmod 755 "$HOOK_STARTED" "$HOOK_COMPLETED"
}
# Runs a script as the job of a runner: in its unit's cgroup, as its user, with the environment of the worker. In the foreground.
runner_run() { # folder, unit, script (a file), [KEY=VALUE...]
	local cg=$CGROOT$SLICE/$2
	mkdir -p "$cg"
	[ -n "${HOOK_STARTED:-}" ] || runner_hooks
	# shellcheck disable=SC2016
	timeout -k 5 "${JOB_TIMEOUT:-100}" nsenter --mount="$HOSTMNT" --net="/run/netns/$HOSTNS" "${HOST_BOUND[@]}" bash -c '
		echo $$ >"/sys/fs/cgroup$1/cgroup.procs" || exit 99
		dir=$2 script=$3 ids=$4 bin=$5
		shift 5
		cd "$dir" && exec setpriv --reuid="${ids%%:*}" --regid="${ids%%:*}" --groups "${ids#*:}" env -i PATH="$bin:$PATH" HOME="$dir" "$@" "$dir/bin/Runner.Worker" "$script"
	' - "$SLICE/$2" "$1" "$3" "$HOST_UID:$HOST_DOCKER_GID" "$(dirname "$DOCKER_BIN")" \
		DOCKER_HOST="unix://$DOCKER_SOCK" EGRET_RUN_DIR="$TMP/run" HOOK_STARTED="$HOOK_STARTED" HOOK_COMPLETED="$HOOK_COMPLETED" FLAGS="$TMP/flags" \
		GITHUB_ACTIONS=true CI=true RUNNER_TEMP="$1/_work/_temp" RUNNER_NAME="${1##*/}" GITHUB_REPOSITORY=acme/web GITHUB_REPOSITORY_OWNER=acme \
		GITHUB_REPOSITORY_ID=8412 GITHUB_REF=refs/heads/main GITHUB_SHA=0123456789012345678901234567890123456789 GITHUB_EVENT_NAME=push \
		GITHUB_WORKFLOW=ci GITHUB_JOB=build GITHUB_RUN_ID=77 GITHUB_ACTOR=someone "${@:4}"
}
