/* SPDX-License-Identifier: Apache-2.0 */
/* The methods that a rule can name: the IANA registry's, as bits, and WEBSOCKET, which is what a
 * GET becomes that asks to turn its connection into one. Called by the loader and, for each
 * request, by the matcher. */
#include "policy/model.h"

const char *const method_names[] = {
	"GET",	       "HEAD",		 "POST",     "PUT",	   "DELETE",
	"PATCH",       "OPTIONS",	 "CONNECT",  "TRACE",	   "ACL",
	"BIND",	       "CHECKIN",	 "CHECKOUT", "COPY",	   "LABEL",
	"LINK",	       "LOCK",		 "MERGE",    "MKCOL",	   "MKREDIRECTREF",
	"MKWORKSPACE", "MOVE",		 "PROPFIND", "PROPPATCH",  "QUERY",
	"REBIND",      "REPORT",	 "SEARCH",   "UNBIND",	   "UNLINK",
	"UNLOCK",      "UPDATE",	 "PURGE",    "MKACTIVITY", "MKCALENDAR",
	"ORDERPATCH",  METHOD_WEBSOCKET,
};
const size_t method_names_n = ARRAY_SIZE(method_names);
_Static_assert(ARRAY_SIZE(method_names) < 64, "a bit each, and ANY has more than all of them");
_Static_assert(METHODS_WEBSOCKET == 1ull << (ARRAY_SIZE(method_names) - 1), "the last of them");

uint64_t method_bit(struct str method)
{
	for (size_t i = 0; i < ARRAY_SIZE(method_names); i++)
		if (str_is(method, method_names[i]))
			return 1ull << i;
	return 0;
}
