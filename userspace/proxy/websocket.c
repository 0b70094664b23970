/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake of a WebSocket: see websocket.h. Nothing of what comes behind it is read here. */
#include "proxy/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#define KEY_BYTES 16
#define KEY_CHARS 24 /* of them in base64 */
#define ACCEPT_CHARS 28

/* h2c and TLS upgrades are offers that a server may leave; clients make them unasked. */
static bool may_be_left(struct str s)
{
	return str_eq_nocase(s, STR("h2c")) ||
	       (s.n > 4 && str_eq_nocase((struct str){ s.p, 4 }, STR("TLS/")));
}

/* The value of a field that stands exactly once; n = 0: it does not. */
static struct str only(const struct head *h, const char *name)
{
	return head_count(h, name) == 1 ? head_find(h, name)->value : (struct str){ NULL, 0 };
}

/* 16 bytes in base64, as every sender writes them: 22 digits and two signs of padding. */
static bool is_key(struct str s)
{
	unsigned char bytes[KEY_BYTES + 2];

	return s.n == KEY_CHARS && s.p[21] != '=' && s.p[22] == '=' && s.p[23] == '=' &&
	       EVP_DecodeBlock(bytes, (const unsigned char *)s.p, KEY_CHARS) == sizeof(bytes);
}

static const char *handshake_fault(const struct head *h)
{
	if (!str_is(h->method, "GET"))
		return "a WebSocket's handshake is a GET";
	if (!h->minor)
		return "a WebSocket's handshake is HTTP/1.1";
	if (h->body != BODY_NONE)
		return "a WebSocket's handshake has no body";
	if (!str_eq_nocase(only(h, "upgrade"), STR("websocket")))
		return "Upgrade names something beside a WebSocket";
	if (!head_has_token(h, "connection", "upgrade"))
		return "Connection does not name the Upgrade";
	if (!str_is(only(h, "sec-websocket-version"), "13"))
		return "only version 13 of the WebSocket protocol is known";
	if (!is_key(only(h, "sec-websocket-key")))
		return "the WebSocket's key is not 16 bytes in base64";
	return NULL;
}

enum upgrade upgrade_asked(const struct head *h, const char **ret_why)
{
	const struct field *f;
	bool websocket = false;
	struct str s;

	*ret_why = NULL;
	for (size_t at = 0; (f = head_each(h, "upgrade", &at));) {
		for (size_t i = 0; list_each (f->value, &i, &s);) {
			if (str_eq_nocase(s, STR("websocket")))
				websocket = true;
			else if (!may_be_left(s))
				return UPGRADE_OTHER;
		}
	}
	if (!websocket)
		return UPGRADE_NONE;
	*ret_why = handshake_fault(h);
	return UPGRADE_WEBSOCKET;
}

static void accept_of(struct str key, char to[ACCEPT_CHARS + 1])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char text[KEY_CHARS + sizeof(guid) - 1], hash[SHA_DIGEST_LENGTH];

	memcpy(text, key.p, KEY_CHARS);
	memcpy(text + KEY_CHARS, guid, sizeof(guid) - 1);
	SHA1(text, sizeof(text), hash);
	EVP_EncodeBlock((unsigned char *)to, hash, sizeof(hash));
}

bool websocket_agreed(const struct head *q, const struct head *h, const char **ret_why)
{
	struct str offered = only(q, "sec-websocket-protocol"),
		   chosen = only(h, "sec-websocket-protocol"), s;
	char accept[ACCEPT_CHARS + 1];
	bool found = false;

	*ret_why = NULL;
	accept_of(only(q, "sec-websocket-key"), accept);
	if (h->status != 101 || !h->minor)
		*ret_why = "it does not change the protocol";
	else if (!str_eq_nocase(only(h, "upgrade"), STR("websocket")) ||
		 !head_has_token(h, "connection", "upgrade"))
		*ret_why = "it changes to something that is no WebSocket";
	else if (!str_is(only(h, "sec-websocket-accept"), accept))
		*ret_why = "it did not read the WebSocket's key";
	if (*ret_why || !head_find(h, "sec-websocket-protocol"))
		return !*ret_why;
	for (size_t i = 0; !found && list_each (offered, &i, &s);)
		found = str_eq(s, chosen);
	if (!found)
		*ret_why = "it chose a protocol that was not offered";
	return found;
}
