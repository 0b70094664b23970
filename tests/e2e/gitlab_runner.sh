# SPDX-License-Identifier: Apache-2.0
# A stand-in of GitLab Runner's docker executor: bash in the runner's unit, with the docker client. Sourced by gitlab.sh after host.sh.
#
# It does what the executor does with FF_NETWORK_PER_BUILD, in its order: the job's network and volume, the container that prepares the volume
# (cache-init), the services with their names on the network, the container that waits for each (wait); then the stages: predefined ones (clone, artifacts)
# by a helper container, the script by the build container. Both are created once and *started again* for each of their stages, with the stage's
# script at their standard input (attach); at the end all is removed. Every container has the labels that the runner writes from the job's payload.
#
#   gitlab_job DIR ID PROJECT REF SCRIPT-FILE [KEY=VALUE...]     in the foreground; SCRIPT-FILE uses the functions below

GITLAB_UNIT=gitlab-runner.service
gitlab_runner_make() { # folder
	mkdir -p "$1"
	cat >"$1/executor" <<'RUNNER'
#!/bin/bash
set -u
L=com.gitlab.gitlab-runner
SHA=0123456789012345678901234567890123456789
RANDOM_NAME=$(head -c 8 /dev/urandom | od -An -tx1 | tr -d ' \n')
NAME=runner-t1abcdef-project-$PROJECT-concurrent-0-$RANDOM_NAME
BUILD= HELPER= CONTAINERS=()
labels() { # type
	local k
	for k in "job.id=$JOB_ID" "job.url=https://gitlab.test/acme/web-$PROJECT/-/jobs/$JOB_ID" "job.sha=$SHA" "job.before_sha=$SHA" "job.ref=$REF" \
		"job.timeout=1h0m0s" "project.id=$PROJECT" "project.runner_id=7" "pipeline.id=9$JOB_ID" "runner.id=t1abcdef" "runner.local_id=0" \
		"runner.system_id=s_0123456789ab" "managed=true" "type=$1"; do printf -- '--label\n%s.%s\n' "$L" "$k"; done
}
make() { # type, name, options and image and command: its id in $C
	local type=$1 name=$2 l
	shift 2
	mapfile -t l < <(labels "$type")
	C=$(docker create --name "$NAME-$name" "${l[@]}" --network "$NAME" "$@") && CONTAINERS+=("$C")
}
prepare() {
	docker network create "$NAME" >/dev/null || return 1
	docker volume create "$NAME" >/dev/null
	make cache-init cache-init -v "$NAME:/builds" "$HELPER_IMAGE" chmod 777 /builds && docker start -a "$C"
}
service() { # alias, image, port: waited for as the runner's health check does
	local service
	make service "$1-0" --label "$L.service=$2" --label "$L.service.version=1" --network-alias "$1" "$2" || return 1
	service=$C
	docker start "$service" >/dev/null || return 1
	make wait "$1-0-wait-for-service" -e "WAIT_FOR_SERVICE_TCP_ADDR=$1" "$HELPER_IMAGE" sh -c "for i in \$(seq 100); do python3 -c '
import socket
socket.create_connection((\"$1\", $3), 2)' 2>/dev/null && exit 0; sleep 0.1; done; exit 1" || return 1
	docker start -a "$C" || echo "*** WARNING: Service $1 probably didn't start properly."
	docker rm -f "$C" >/dev/null
}
stage() { # predefined|build, script: the container's exit status is the stage's
	if [ "$1" = predefined ]; then
		[ -n "$HELPER" ] || { make predefined predefined -i -v "$NAME:/builds" -w /builds "$HELPER_IMAGE" sh -e && HELPER=$C; } || return 1
		C=$HELPER
	else
		[ -n "$BUILD" ] || { make build build -i -v "$NAME:/builds" -w /builds -e CI=true "$IMAGE" sh -e && BUILD=$C; } || return 1
		C=$BUILD
	fi
	printf '%s\n' "$2" | docker start -a -i "$C"
}
finish() {
	[ ${#CONTAINERS[@]} = 0 ] || docker rm -f -v "${CONTAINERS[@]}" >/dev/null 2>&1
	docker volume rm "$NAME" >/dev/null 2>&1
	docker network rm "$NAME" >/dev/null 2>&1
}
wait_file() { local i; for ((i = 0; i < 1200; i++)); do [ ! -e "$1" ] || return 0; sleep 0.05; done; return 1; }
trap finish EXIT
source "$1"
RUNNER
}
gitlab_job() { # folder, job id, project id, ref, script, [KEY=VALUE...]
	mkdir -p "$CGROOT$SLICE/$GITLAB_UNIT"
	# shellcheck disable=SC2016
	timeout -k 5 "${JOB_TIMEOUT:-150}" nsenter --mount="$HOSTMNT" --net="/run/netns/$HOSTNS" "${BOUND[@]}" bash -c '
		echo $$ >"/sys/fs/cgroup$1/cgroup.procs" || exit 99
		dir=$2 script=$3 bin=$4
		shift 4
		exec env -i PATH="$bin:$PATH" HOME="$dir" "$@" bash "$dir/executor" "$script"
	' - "$SLICE/$GITLAB_UNIT" "$1" "$5" "$(dirname "$DOCKER_BIN")" DOCKER_CONFIG="$DOCKER_CONFIG" DOCKER_HOST="unix://$DOCKER_SOCK" FLAGS="$TMP/flags" \
		JOB_ID="$2" PROJECT="$3" REF="$4" HELPER_IMAGE=egret-test/debian:1 IMAGE=egret-test/alpine:1 "${@:6}"
}
