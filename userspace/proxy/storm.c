// SPDX-License-Identifier: Apache-2.0
/*
 * See storm.h. OpenSSL shows each record that it has opened; the count since the last one of data
 * is the callback's own argument, so that a connection needs no memory for it. Hostile bytes: the
 * type of a record is all that is looked at.
 */
#include "proxy/storm.h"

#include "proxy/proxy.h"
#include <openssl/ssl.h>

static struct proxy *told;

void storm_start(struct proxy *px)
{
	told = px;
}

static void tell(const SSL *ssl)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct event e;

	if (!told)
		return;
	record_begin(told, &e, EVENT_LIMIT_HIT, VERDICT_DENY, REASON_LIMIT, NULL, NULL, STR(""));
	if (name)
		event_text(&e, FIELD_TLS_SNI, str_of(name));
	event_text(&e, FIELD_MESSAGE,
		   SSL_is_server((SSL *)ssl)
			   ? STR("the client sent TLS records without data in a row: closed")
			   : STR("the upstream sent TLS records without data in a row: closed"));
	record_note(told, &e);
}

/* In TLS 1.3 a record's type is inside it. */
static bool says_type(int version, int type)
{
	return version == TLS1_3_VERSION ? type == SSL3_RT_INNER_CONTENT_TYPE
					 : type == SSL3_RT_HEADER;
}

static void on_record(int sent, int version, int type, const void *p, size_t n, SSL *ssl, void *arg)
{
	size_t count = (size_t)arg;

	if (sent || !n || !says_type(SSL_version(ssl), type))
		return;
	if (*(const uint8_t *)p == SSL3_RT_APPLICATION_DATA)
		count = 0;
	else if (SSL_is_init_finished(ssl))
		count++;
	if (count == STORM_RECORDS + 1)
		tell(ssl);
	/* As if the peer had said that it will send no more: the read that is under way ends. */
	if (count > STORM_RECORDS)
		SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
	SSL_set_msg_callback_arg(ssl, (void *)count);
}

void storm_watch(SSL_CTX *ctx)
{
	SSL_CTX_set_msg_callback(ctx, on_record);
}
