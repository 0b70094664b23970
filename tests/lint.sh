#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The rules of the house that a machine can read: format, sizes, banned calls, licences, no path of anyone's machine, cppcheck. TAP.
. "$(dirname "$0")/lib.sh"
cd "$ROOT" || exit 1

if git rev-parse --git-dir >/dev/null 2>&1; then
	mapfile -t files < <(git ls-files)
else
	mapfile -t files < <(find . -path ./build -prune -o -type f -printf '%P\n')
fi
c_files() { printf '%s\n' "${files[@]}" | grep -E '^(bpf|userspace|tests|deploy)/.*\.[ch]$' | while read -r f; do [ -e "$f" ] && echo "$f"; done; }
text_files() { printf '%s\n' "${files[@]}" | grep -Ev '^tests/fuzz/corpus/' | while read -r f; do [ -f "$f" ] && echo "$f"; done; }
empty() { # what it means, what was found
	if [ -z "$2" ]; then pass "$1"; else fail "$1" "$(head -n 40 <<<"$2")"; fi
}
mapfile -t c < <(c_files)
mapfile -t texts < <(text_files)

# One version, as formatters differ between versions.
format=$(command -v clang-format-14 || { clang-format --version 2>/dev/null | grep -q 'version 14\.' && command -v clang-format; } || true)
if [ -n "$format" ]; then
	empty "clang-format 14 has nothing to change" "$("$format" --dry-run -Werror "${c[@]}" 2>&1 | grep -E 'error:' | cut -d: -f1 | sort | uniq -c)"
else
	skip "clang-format" "version 14 is not installed"
fi
empty "no file over 600 lines" "$(wc -l "${c[@]}" | awk '$1 > 600 && $2 != "total" { print $2 ": " $1 " lines" }')"
empty "no banned call" "$(grep -nE '(^|[^a-zA-Z0-9_>.])(strcpy|strcat|sprintf|vsprintf|system|popen|atoi|atol|alloca|strtok|getaddrinfo|gets)[[:space:]]*\(' \
	"${c[@]}" | grep -vE '^[^:]+:[0-9]+:[[:space:]]*(\*|/\*|//)')"
empty "a licence in each source file" "$(for f in "${c[@]}" $(printf '%s\n' "${texts[@]}" | grep -E '\.sh$|^tests/run$'); do head -n 3 "$f" | grep -q SPDX-License-Identifier || echo "$f"; done)"
empty "kernel programs have the kernel's licence too" "$(for f in "${c[@]}"; do case $f in bpf/*) head -n 1 "$f" | grep -q 'GPL-2.0-only OR BSD-2-Clause' || echo "$f" ;; esac; done)"
empty "no path of anyone's machine" "$(grep -nIE '(^|[^a-zA-Z0-9_.-])/(wor[k]|home/[a-z]+|root)/' "${texts[@]}" | grep -vE '/home/(runner|linuxbrew)/|^policies/')"
empty "no leftover marks" "$(grep -nwE 'TO[D]O|FIX[M]E|XX[X]' "${c[@]}")"
empty "unit tests say what passed as TAP" "$(printf '%s\n' "${c[@]}" | grep '^tests/unit/.*/test_[^/]*\.c$' | xargs grep -L CM_OUTPUT_TAP)"
empty "shell scripts parse" "$(for f in "${texts[@]}"; do if head -n 1 "$f" | grep -q '^#!/bin/bash'; then bash -n "$f" 2>&1; fi; done)"
if command -v mandoc >/dev/null && compgen -G 'docs/man/*.[158]' >/dev/null; then
	empty "man pages are clean mdoc" "$(mandoc -T lint -W warning docs/man/*.[158] 2>&1 | grep -vE 'missing date|cross reference|referenced manual')"
fi
if command -v cppcheck >/dev/null; then
	empty "cppcheck finds nothing" "$(cppcheck -q -j2 --std=c11 --enable=warning,portability --inline-suppr --suppress=missingInclude \
		--suppress=unknownMacro --suppress=wrongPrintfScanfArgNum --suppress=preprocessorErrorDirective -D_GNU_SOURCE '-DMUST_CHECK=' '-DPRINTF_LIKE(a,b)=' '-DSTR_ARG(s)=(int)(s).n,(s).p' --template='{file}:{line}: {id}: {message}' \
		$(printf '%s\n' "${c[@]}" | grep '^userspace/.*\.c$') 2>&1)"
else
	skip "cppcheck" "not installed"
fi
done_testing
