// SPDX-License-Identifier: Apache-2.0
/*
 * The words of the event stream: tables from kinds.def, fields.def and reasons.def, and the one map
 * from the kernel's reasons (bpf/abi.h) to rows of reasons.def. Called by everything that shows an
 * event. Reads no foreign bytes: numbers out of range give "?".
 */
#include "event/rows.h"
#include "abi.h"

static const char *const kind_names[EVENT_KINDS_END] = {
	[EVENT_NONE] = "?",
#define EVENT_KIND(c, name) [EVENT_##c] = name,
#include "event/kinds.def"
#undef EVENT_KIND
};

static const struct {
	const char *word, *sentence;
} reason_rows[REASONS_END] = {
	[REASON_NONE] = { "", "" },
#define REASON(c, word, sentence) [REASON_##c] = { word, sentence },
#include "event/reasons.def"
#undef REASON
};

#define TEXT FIELD_IS_TEXT
#define NUM FIELD_IS_NUM
#define BOOL FIELD_IS_BOOL
#define ADDR FIELD_IS_ADDR
#define DIGEST FIELD_IS_DIGEST
const struct field_row field_rows[FIELDS_END] = {
	[FIELD_NONE] = { "", 0, 0 },
#define EVENT_FIELD(c, path, kind, max) [FIELD_##c] = { path, kind, max },
#include "event/fields.def"
#undef EVENT_FIELD
};
#undef TEXT
#undef NUM
#undef BOOL
#undef ADDR
#undef DIGEST

/* The kernel counts; people read. A number this build does not know shows no reason. */
static const enum reason of_kernel[EGRET_R_MAX] = {
	[EGRET_OK] = REASON_NONE,
	[EGRET_R_UNREGISTERED] = REASON_K_UNREGISTERED,
	[EGRET_R_NOT_READY] = REASON_K_NOT_READY,
	[EGRET_R_FOREIGN_SOCKET] = REASON_K_FOREIGN_SOCKET,
	[EGRET_R_NO_LISTENER] = REASON_K_NO_LISTENER,
	[EGRET_R_UNSPECIFIED] = REASON_K_UNSPECIFIED,
	[EGRET_R_LOOPBACK] = REASON_K_LOOPBACK,
	[EGRET_R_LINK_LOCAL] = REASON_K_LINK_LOCAL,
	[EGRET_R_MULTICAST] = REASON_K_MULTICAST,
	[EGRET_R_UDP] = REASON_K_UDP,
	[EGRET_R_FAMILY] = REASON_K_FAMILY,
	[EGRET_R_PORT] = REASON_K_PORT,
	[EGRET_R_PACKET] = REASON_K_PACKET,
	[EGRET_R_STORAGE] = REASON_K_STORAGE,
	[EGRET_R_HOST_ADDRESS] = REASON_K_HOST_ADDRESS,
	[EGRET_R_CAGE_ADDRESS] = REASON_K_CAGE_ADDRESS,
	[EGRET_R_CAGE_UDP] = REASON_K_CAGE_UDP,
	[EGRET_R_CAGE_SOCKET] = REASON_K_CAGE_SOCKET,
	[EGRET_R_BAD_ADDRESS] = REASON_K_BAD_ADDRESS,
	[EGRET_R_INBOUND] = REASON_K_INBOUND,
	[EGRET_R_UDP_CONNECT] = REASON_K_UDP_CONNECT,
	[EGRET_R_LINK] = REASON_K_LINK,
	[EGRET_R_FOREIGN_FILE] = REASON_K_FOREIGN_FILE,
	[EGRET_R_UNIX] = REASON_K_UNIX,
	[EGRET_R_GUARD] = REASON_K_GUARD,
	[EGRET_R_CAPTURED] = REASON_K_CAPTURED,
};

const char *event_kind_name(enum event_kind k)
{
	return (unsigned)k < EVENT_KINDS_END ? kind_names[k] : "?";
}

const char *event_verdict_name(enum event_verdict v)
{
	switch (v) {
	case VERDICT_ALLOW:
		return "allow";
	case VERDICT_DENY:
		return "deny";
	case VERDICT_WOULD_DENY:
		return "would_deny";
	case VERDICT_NONE:
		break;
	}
	return "";
}

const char *reason_word(enum reason r)
{
	return (unsigned)r < REASONS_END ? reason_rows[r].word : "?";
}

const char *reason_sentence(enum reason r)
{
	return (unsigned)r < REASONS_END ? reason_rows[r].sentence : "?";
}

enum reason reason_of_kernel(unsigned egret_reason)
{
	return egret_reason < EGRET_R_MAX ? of_kernel[egret_reason] : REASON_NONE;
}
