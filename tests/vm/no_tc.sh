#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# A kernel without the wall at links (see guest.sh): sch_ingress and cls_bpf are taken out of the machine. The missing wall is a word that is not
# in status and job.start, a line of doctor, an event, and with "require": ["tc"] a refusal in words of every job that would have a link; loaded
# again, the wall stands and the same job is let in. TAP.
n=0
ok() { # status, what
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
has() { # text, pattern, what
	echo "$1" | grep -Eq "$2"
	r=$?
	ok $r "$3"
	[ $r = 0 ] || echo "$1" | sed 's/^/# got /'
}
lacks() { # text, pattern, what
	! echo "$1" | grep -Eq "$2"
	r=$?
	ok $r "$3"
	[ $r = 0 ] || echo "$1" | sed 's/^/# got /'
}
until_true() { # tenths of a second, command...
	local left=$1
	shift
	until "$@" 2>/dev/null; do
		left=$((left - 1))
		[ $left -gt 0 ] || return 1
		sleep 0.1
	done
}
at=/tmp/no_tc
mkdir -p $at/policies $at/state
echo '{ "version": 1, "name": "vm", "mode": "enforce", "for": [ { "repo": "vm" } ], "rules": [ { "id": "hello", "allow": "GET http://api.test/**" } ] }' >$at/policies/vm.json
configure() { # more members
	echo "{ \"state_dir\": \"$at/state\", \"run_dir\": \"/run/egret\", \"policies\": [\"$at/policies\"], \"managed\": [ { \"engine\": \"containerd\", \"adopt\": \"sole\" } ]$1 }" >$at/egret.json
	chmod 644 $at/egret.json $at/policies/vm.json
}
start() {
	egretd --config $at/egret.json >>$at/log 2>&1 &
	daemon=$!
	until_true 200 egret status >/dev/null
	ok $? "egretd serves $1"
}
end() {
	kill $daemon
	until_true 100 sh -c "! kill -0 $daemon"
}
doctor() { egret doctor --config $at/egret.json 2>&1; }
register() { egret job register --provider generic --worker none --label repo=vm --label event=push 2>&1; }
events() { cat $at/state/events*.ndjson; }

rmmod cls_bpf && rmmod sch_ingress
ok $? "the kernel's clsact is taken away"
configure
start "without the wall tc"
has "$(egret status)" '^walls_absent .*tc' "status: tc is absent"
lacks "$(egret status | grep '^walls ')" '\btc\b' "and no word of those that stand"
has "$(egret status)" 'no clsact or cls_bpf: load sch_ingress and cls_bpf' "with what to do"
has "$(doctor)" '^absent +tc +.*load sch_ingress and cls_bpf' "doctor: absent, with what to do"
has "$(events | grep '"guard.absent"')" '"walls":"tc"' "an event guard.absent names it"
job=$(register)
has "$job" '^j-' "a job that would have links is let in where nothing requires the wall"
has "$(events | grep '"job.start"')" '"walls":"turn sockets packets cage' "its job.start has the words of those that stand"
lacks "$(events | grep '"job.start"')" '"walls":"[^"]*\btc\b' "and not tc"
egret job end "$job" >/dev/null
end

configure ', "require": ["tc"]'
start "with require tc"
has "$(register)" 'requires the wall "tc", which does not stand here: this kernel has no clsact or cls_bpf: load sch_ingress and cls_bpf' "required: the job is refused, in words"
has "$(doctor)" '^MISSING +tc ' "doctor: MISSING"
for m in /modules/*-sch_ingress.ko /modules/*-cls_bpf.ko; do insmod "$m"; done
has "$(doctor)" '^ok +tc +the trial was refused' "loaded again: doctor finds the wall"
job=$(register)
has "$job" '^j-' "and the same job is let in"
egret job end "$job" >/dev/null
end
sed 's/^/# /' $at/log
echo "1..$n"
