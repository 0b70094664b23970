/* SPDX-License-Identifier: Apache-2.0 */
/* What origins hand out to who came with a credential never reaches the job: it gets marks, which
 * are good for their host and through this proxy alone. And what is taken out of answers. */
#include "session_rig.h"

#include "base/secret.h"

#define TOKEN "eyJhbGciOiJSUzI1NiJ9.tok.en-0123456789"
#define MARK "egret_d_"
#define MARK_N 40

static const char policy_text[] =
	"{ \"name\": \"p\", \"rules\": [ "
	"{ \"id\": \"auth\", \"allow\": \"ANY https://auth.test/**\", \"credential\": \"gh\" }, "
	"{ \"id\": \"reg\", \"allow\": \"ANY https://*.reg.test/**\" }, "
	"{ \"id\": \"sts\", \"allow\": \"ANY https://sts.reg.test/**\", \"credential\": \"gh\" }, "
	"{ \"id\": \"other\", \"allow\": \"ANY https://other.test/**\" } ] }";
#define CREDENTIAL(more)                                                                          \
	"{ \"name\": \"gh\", \"provider\": \"store\", \"value\": \"gh\", \"for\": \"any\", "      \
	"\"hosts\": [\"auth.test\", \"*.reg.test\"], \"inject\": [ { \"hosts\": [\"auth.test\", " \
	"\"sts.reg.test\"], "                                                                     \
	"\"basic\": \"robot:{token}\" } ]" more " }"

static int up(void **state)
{
	return rig_up_with(policy_text, CREDENTIAL(""));
}

static int up_opaque(void **state)
{
	return rig_up_with(policy_text, CREDENTIAL(", \"opaque_answers\": \"pass\""));
}

static int down(void **state)
{
	return rig_down();
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

static void assert_says(const char *got, const char *want)
{
	if (strstr(got, want))
		return;
	print_error("got:  %s\nwant: %s\n", got, want);
	fail();
}

static char sent[65536], got[65536];

/* One request and its answer, on a connection of its own; what the origin and the job heard. */
static void ask(const char *host, const char *request, const char *answer)
{
	unsigned n = rig.dialled;
	char text[8192];

	job_connects(true, host, 443);
	print(text, "%s\r\nHost: %s\r\n\r\n", request, host);
	say(rig.client, text);
	if (rig.dialled == n) {
		print_error("%s: %s\n", request, hear(rig.client));
		fail();
	}
	(void)snprintf(sent, sizeof(sent), "%s", hear(rig.origin[n]));
	say(rig.origin[n], answer);
	shutdown(rig.origin[n], SHUT_WR);
	(void)snprintf(got, sizeof(got), "%s", hear(rig.client));
	job_leaves();
	if (rig.dialled == ARRAY_SIZE(rig.origin)) {
		for (unsigned i = 0; i < rig.dialled; i++)
			close(rig.origin[i]);
		rig.dialled = 0;
	}
}

#define JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"

/* The mark behind this text in what the job heard. */
static const char *mark_behind(const char *text)
{
	static char mark[4][MARK_N + 1];
	static unsigned next;
	char *to = mark[next++ % 4];
	const char *at = strstr(got, text);

	if (!at || strncmp(at + strlen(text), MARK, strlen(MARK)) != 0) {
		print_error("got: %s\nwant a mark behind: %s\n", got, text);
		fail();
		return "";
	}
	memcpy(to, at + strlen(text), MARK_N);
	to[MARK_N] = 0;
	return to;
}

static void sends(const char *host, const char *form, const char *mark, const char *want)
{
	char request[1024];
	const char *at = strstr(form, "%s");

	assert_non_null(at);
	print(request, "%.*s%s%s", (int)(at - form), form, mark, at + 2);
	ask(host, request, "HTTP/1.1 204 No\r\nConnection: close\r\n\r\n");
	assert_says(sent, want);
}

static void test_registry(void **state)
{
	const char *mark;

	ask("hub.reg.test", "GET /v2/ HTTP/1.1",
	    "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\", Bearer "
	    "realm=\"https://auth.test/jwt/auth\",service=\"hub reg\"\r\nContent-Length: "
	    "0\r\n\r\n");
	assert_says(got, "Bearer realm=\"https://auth.test/jwt/auth\"");
	ask("auth.test", "GET /jwt/auth?service=hub+reg&scope=repository:x:pull HTTP/1.1",
	    JSON "{\"token\": \"" TOKEN "\",\"access_token\":\"" TOKEN "\",\"expires_in\":300}");
	assert_says(sent, "scope=repository:x:pull HTTP/1.1\r\n");
	assert_says(sent, "authorization: Basic cm9ib3Q6");
	mark = mark_behind("{\"token\": \"");
	assert_says(got, ",\"expires_in\":300}");
	assert_says(got, "Content-Length: 128\r\n");
	assert_null(strstr(got, TOKEN));
	/* One value, one mark. */
	assert_string_equal(mark, mark_behind("\"access_token\":\""));
	sends("hub.reg.test", "GET /v2/x HTTP/1.1\r\nAuthorization: Bearer %s", mark,
	      "Authorization: Bearer " TOKEN "\r\n");
	assert_string_equal(rig.last_credential, "gh");
	/* Bound: to the registry that asked for it, and to where tokens stand. */
	sends("two.reg.test", "GET /v2/x HTTP/1.1\r\nX-Token: %s", mark, mark);
	sends("other.test", "GET /v2/x HTTP/1.1\r\nAuthorization: Bearer %s", mark, mark);
	sends("hub.reg.test", "GET /v2/x?q=%s HTTP/1.1", mark, mark);
	sends("hub.reg.test", "GET /v2/x HTTP/1.1\r\nReferer: %s", mark, mark);
	sends("hub.reg.test", "OPTIONS /v2/x HTTP/1.1\r\nX-Token: %s", mark, mark);
	/* The client's own does not hide behind it. */
	sends("hub.reg.test",
	      "GET /v2/x HTTP/1.1\r\nAuthorization: Bearer own\r\nAuthorization: Bearer %s", mark,
	      "Authorization: Bearer " TOKEN "\r\n");
	assert_null(strstr(sent, "own"));
	/* Handed out once more it is the same, not what a search leaves of it. */
	ask("auth.test", "GET /jwt/auth?service=hub+reg HTTP/1.1",
	    JSON "{\"token\": \"" TOKEN "\"}");
	sends("hub.reg.test", "GET /v2/x HTTP/1.1\r\nAuthorization: Bearer %s",
	      mark_behind("{\"token\": \""), "Authorization: Bearer " TOKEN "\r\n");
	/* Asked for without a challenge: good at all of the credential's hosts. */
	ask("auth.test", "GET /v2/auth?service=x HTTP/1.1", JSON "{\"token\":\"" TOKEN "\"}");
	mark = mark_behind("{\"token\":\"");
	sends("two.reg.test", "GET /v2/x HTTP/1.1\r\nAuthorization: Bearer %s", mark,
	      "Authorization: Bearer " TOKEN "\r\n");
	/* What was swapped in does not come back. */
	ask("hub.reg.test", "GET /v2/echo HTTP/1.1", JSON "{\"said\":\"" TOKEN "\"}");
	assert_null(strstr(got, TOKEN));
}

static void test_oauth(void **state)
{
	const char *mark;

	ask("auth.test", "POST /oauth/token HTTP/1.1\r\nContent-Length: 0",
	    JSON "{\"a\":[1,{\"refresh_token\":\"r\\u0065fresh\\/0123456789\"}],\"id_token\":null,"
		 "\"token_type\":\"bearer-bearer\"}");
	mark = mark_behind("\"refresh_token\":\"");
	assert_says(got, "\"}],\"id_token\":null,\"token_type\":\"bearer-bearer\"}");
	sends("auth.test", "GET /x?access_token=%s HTTP/1.1", mark,
	      "/x?access_token=refresh%2F0123456789 ");
	ask("auth.test", "POST /login/oauth/access_token HTTP/1.1\r\nContent-Length: 0",
	    "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
	    "54\r\n\r\naccess_token=gho_0123456789abcdef&scope=&token_type=be");
	mark = mark_behind("\r\n\r\naccess_token=");
	/* Inside Basic, as git sends what a helper told it: "x:" and the mark. */
	(void)mark;
	assert_says(got, "&scope=&token_type=be");
	/* A token exchange of a host that is named like AWS's. */
	ask("sts.reg.test", "POST /v1/token HTTP/1.1\r\nContent-Length: 0",
	    JSON "{\"access_token\": \"" TOKEN "\"}");
	assert_null(strstr(got, TOKEN));
	sends("sts.reg.test", "GET /x HTTP/1.1\r\nX-Token: %s",
	      mark_behind("{\"access_token\": \""), "X-Token: " TOKEN "\r\n");
	/* A form knows no escapes of JSON. */
	ask("auth.test", "POST /login/oauth/access_token HTTP/1.1\r\nContent-Length: 0",
	    "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
	    "28\r\n\r\naccess_token=gho\\q0123456\\u0");
	sends("auth.test", "GET /x HTTP/1.1\r\nX-Token: %s", mark_behind("\r\n\r\naccess_token="),
	      "X-Token: gho\\q0123456\\u0\r\n");
}

static void refused(const char *host, const char *request, const char *answer, const char *words)
{
	ask(host, request, answer);
	assert_says(got, "HTTP/1.1 502 egret refused the answer of ");
	assert_says(got, words);
	assert_null(strstr(got, TOKEN));
}

static void test_refused(void **state)
{
	rig.px.limits.swap_bytes = 4096;
	refused("auth.test", "POST /token HTTP/1.1\r\nContent-Length: 0",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>" TOKEN,
		"in a form that cannot be read");
	refused("auth.test", "POST /token HTTP/1.1\r\nContent-Length: 0",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" TOKEN,
		"it came encoded");
	refused("sts.reg.test", "POST / HTTP/1.1\r\nContent-Length: 0",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<a><SecretAccessKey>" TOKEN,
		"provider aws");
	refused("sts.reg.test", "GET /?Action=AssumeRole HTTP/1.1",
		"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: "
		"close\r\n\r\n<a><SecretAccessKey>" TOKEN,
		"provider aws");
	refused("auth.test", "GET /x HTTP/1.1",
		"HTTP/1.1 302 Found\r\nLocation: http://cdn.test/?sig=" TOKEN
		"\r\nContent-Length: 0\r\n\r\n",
		"signed address that is not https");
	/* A registry that is none of the credential's. */
	ask("other.test", "GET /v2/ HTTP/1.1",
	    "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer "
	    "realm=\"https://auth.test/jwt\",service=\"o\"\r\nContent-Length: 0\r\n\r\n");
	refused("auth.test", "GET /jwt?service=o HTTP/1.1", JSON "{\"token\":\"" TOKEN "\"}",
		"is not among the credential's hosts");
	ask("auth.test", "POST /token HTTP/1.1\r\nContent-Length: 0",
	    "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
}

static void test_cookie(void **state)
{
	const char *mark;

	ask("auth.test", "GET /x HTTP/1.1",
	    "HTTP/1.1 200 OK\r\nSet-Cookie: sid=" TOKEN
	    "; Path=/; Secure\r\nSet-Cookie: lang=en\r\n"
	    "Content-Length: 2\r\n\r\nok");
	mark = mark_behind("Set-Cookie: sid=");
	assert_says(got, "; Path=/; Secure\r\nSet-Cookie: lang=en\r\n");
	sends("auth.test", "GET /y HTTP/1.1\r\nCookie: lang=en; sid=%s", mark,
	      "Cookie: lang=en; sid=" TOKEN "\r\n");
	sends("hub.reg.test", "GET /y HTTP/1.1\r\nCookie: sid=%s", mark, mark);
	/* Before the answer itself, too. */
	ask("auth.test", "GET /x HTTP/1.1",
	    "HTTP/1.1 103 Early\r\nSet-Cookie: sid=" TOKEN
	    "\r\n\r\nHTTP/1.1 204 No\r\nConnection: close\r\n\r\n");
	assert_string_equal(mark, mark_behind("Set-Cookie: sid="));
	assert_null(strstr(got, TOKEN));
	/* Of a request without a credential they are the job's own. */
	ask("other.test", "GET /x HTTP/1.1",
	    "HTTP/1.1 200 OK\r\nSet-Cookie: sid=" TOKEN "\r\nContent-Length: 2\r\n\r\nok");
	assert_says(got, "Set-Cookie: sid=" TOKEN "\r\n");
}

static void test_redirect(void **state)
{
	char want[256];
	const char *mark;

	ask("auth.test", "GET /blob HTTP/1.1",
	    "HTTP/1.1 307 Go\r\nLocation: https://Other.test/b%2Fc?X-Amz-Date=1&X-Amz-Signature="
	    "0123456789abcdef&sig=a%2Bb%3D01234567&n=1\r\nContent-Length: 0\r\n\r\n");
	mark = mark_behind("Location: https://Other.test/b%2Fc?X-Amz-Date=1&X-Amz-Signature=");
	print(want, "/b?X-Amz-Signature=%s&sig=%s", mark, mark_behind("&sig="));
	assert_says(got, "&n=1\r\n");
	{
		char request[512];

		print(request, "GET %s HTTP/1.1", want);
		ask("other.test", request, "HTTP/1.1 204 No\r\n\r\n");
		assert_says(sent, "GET /b?X-Amz-Signature=0123456789abcdef&sig=a%2Bb%3D01234567 ");
		ask("hub.reg.test", request, "HTTP/1.1 204 No\r\n\r\n");
		assert_says(sent, mark);
	}
}

static void test_lfs(void **state)
{
	const char *mark, *verify;

	ask("auth.test", "POST /o/r.git/info/lfs/objects/batch HTTP/1.1\r\nContent-Length: 0",
	    JSON "{\"transfer\":\"basic\",\"objects\":[{\"oid\":\"1\",\"actions\":{\"download\":{"
		 "\"header\":{\"Authorization\":\"Basic " TOKEN "\",\"Accept\":\"application/x\"},"
		 "\"href\":\"https://other.test/o?token=abcdef0123456789\"}}}]}");
	assert_null(strstr(got, TOKEN));
	assert_says(got, "\"Accept\":\"application/x\"");
	mark = mark_behind("https://other.test/o?token=");
	sends("other.test", "GET /o?token=%s HTTP/1.1", mark, "GET /o?token=abcdef0123456789 ");
	ask("auth.test", "POST /o/r.git/info/lfs/objects/batch HTTP/1.1\r\nContent-Length: 0",
	    JSON
	    "{\"objects\":[{\"actions\":{\"upload\":{\"href\":\"https://other.test/\",\"header\":{"
	    "\"Authorization\":\"Basic " TOKEN "\"}}}}]}");
	mark = mark_behind("\"Authorization\":\"Basic ");
	sends("other.test", "PUT /o HTTP/1.1\r\nContent-Length: 0\r\nAuthorization: Basic %s", mark,
	      "Authorization: Basic " TOKEN "\r\n");
	/* As GitHub answers an upload: the bytes go to a store, and are confirmed to the forge. The
	 * headers may stand before the link that they are for. */
	ask("auth.test", "POST /o/r.git/info/lfs/objects/batch HTTP/1.1\r\nContent-Length: 0",
	    JSON "{\"objects\":[{\"actions\":{\"upload\":{\"href\":\"https://other.test/"
		 "o?X-Amz-Signature="
		 "0123456789abcdef\"},\"verify\":{\"header\":{\"Authorization\":\"RemoteAuth " TOKEN
		 "\"},\"href\":\"https://hub.reg.test/verify\"}}}]}");
	assert_null(strstr(got, TOKEN));
	mark = mark_behind("X-Amz-Signature=");
	verify = mark_behind("RemoteAuth ");
	sends("other.test", "PUT /o?X-Amz-Signature=%s HTTP/1.1\r\nContent-Length: 0", mark,
	      "PUT /o?X-Amz-Signature=0123456789abcdef ");
	sends("hub.reg.test",
	      "POST /verify HTTP/1.1\r\nContent-Length: 0\r\nAuthorization: RemoteAuth %s", verify,
	      "Authorization: RemoteAuth " TOKEN "\r\n");
	sends("other.test", "GET /o HTTP/1.1\r\nAuthorization: RemoteAuth %s", verify, verify);
	sends("hub.reg.test", "GET /o?X-Amz-Signature=%s HTTP/1.1", mark, mark);
	refused("auth.test", "POST /o/r.git/info/lfs/objects/batch HTTP/1.1\r\nContent-Length: 0",
		JSON "{\"objects\":[{\"actions\":{\"upload\":{\"header\":{\"Authorization\":"
		     "\"Basic " TOKEN
		     "\"},\"href\":\"https://other.test/\",\"href\":\"https://hub.reg.test/\"}}}]}",
		"leads to more than one host");
}

static void test_ecr(void **state)
{
	/* base64 of "AWS:password-of-ecr-0123" */
	ask("auth.test",
	    "POST / HTTP/1.1\r\nX-Amz-Target: AmazonEC2ContainerRegistry_V20150921."
	    "GetAuthorizationToken\r\nContent-Length: 0",
	    JSON
	    "{\"authorizationData\":[{\"authorizationToken\":\"QVdTOnBhc3N3b3JkLW9mLWVjci0wMTIz\","
	    "\"expiresAt\":1.7E9,\"proxyEndpoint\":\"https://1.reg.test\"}]}");
	/* "AWS:egret_d_" */
	assert_says(got, "\"authorizationToken\":\"QVdTOmVncmV0X2Rf");
	{
		char basic[128], request[256];
		const char *at = strstr(got, "QVdTOmVncmV0X2Rf");

		(void)snprintf(basic, sizeof(basic), "%.*s", (int)strcspn(at, "\""), at);
		print(request, "GET /v2/ HTTP/1.1\r\nAuthorization: Basic %s", basic);
		ask("1.reg.test", request, "HTTP/1.1 204 No\r\n\r\n");
		assert_says(sent, "Authorization: Basic QVdTOnBhc3N3b3JkLW9mLWVjci0wMTIz\r\n");
	}
}

/* A renewed lease: the value before it may still come back. */
static void test_renewed(void **state)
{
	rig.secret = "first-value-0123456789";
	rig.expires = clock_wall_us() + 200000;
	ask("auth.test", "GET /x HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	turn_ms(250);
	rig.secret = "second-value-0123456789";
	rig.expires = 0;
	ask("auth.test", "GET /x HTTP/1.1",
	    "HTTP/1.1 200 OK\r\nX: first-value-0123456789\r\nContent-Length: "
	    "46\r\n\r\nfirst-value-0123456789 second-value-0123456789");
	assert_int_equal(rig.leases_asked, 2);
	assert_null(strstr(got, "first-value"));
	assert_null(strstr(got, "second-value"));
	assert_says(got, "X: **********************\r\n");
	/* Also on a host of the credential where nothing was put in. */
	ask("hub.reg.test", "GET /x HTTP/1.1",
	    "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\nfirst-value-0123456789");
	assert_says(got, "\r\n\r\n**********************");
}

/* Another set of credentials comes into force between two requests. */
static void reload(const char *first, const char *second)
{
	static char bytes[2][65536];
	static unsigned next;
	struct source src[3] = { { SOURCE_POLICY, STR("p.json"), str_of(policy_text) },
				 { SOURCE_CREDENTIAL, STR("1.json"), str_of(first) },
				 { SOURCE_CREDENTIAL, STR("2.json"), str_of(second) } };
	struct credentials *before = rig.px.creds;
	char *to = bytes[next++ % 2];
	struct msg_in told;
	struct compiled c;
	struct pack pack;
	ssize_t n;
	int fd;

	assert_int_equal(policy_compile(src, 3, 0, &c), 0);
	assert_int_equal(pack_write(c.credentials, c.ncredentials, &fd), 0);
	n = pread(fd, to, sizeof(bytes[0]), 0);
	assert_true(n > 0);
	assert_int_equal(pack_open(to, (size_t)n, &pack), 0);
	assert_int_equal(creds_new(&rig.px, pack, &rig.px.creds), 0);
	creds_adopt(rig.px.creds, before);
	creds_free(before);
	while (msg_recv(rig.broker, &told) >= 0) /* how often they were used */
		msg_in_done(&told);
	compiled_done(&c);
	close(fd);
}

#define BESIDE                                                                  \
	"{ \"name\": \"beside\", \"provider\": \"store\", \"value\": \"b\", "   \
	"\"for\": \"any\", \"hosts\": [\"b.test\"], \"inject\": { \"header\": " \
	"\"x-b\", \"format\": \"{token}\" } }"

/* What came of a credential that is the same afterwards is good, and searched for; of another one
 * it is not. */
static void test_reload(void **state)
{
	char mark[MARK_N + 1];

	rig.secret = "first-value-0123456789";
	ask("auth.test", "POST /token HTTP/1.1\r\nContent-Length: 0",
	    JSON "{\"access_token\":\"" TOKEN "\"}");
	copy(mark, mark_behind("{\"access_token\":\""));
	reload(BESIDE, CREDENTIAL(""));
	ask("hub.reg.test", "GET /x HTTP/1.1",
	    "HTTP/1.1 200 OK\r\nContent-Length: 63\r\n\r\nfirst-value-0123456789 " TOKEN);
	assert_null(strstr(got, "first-value"));
	assert_null(strstr(got, TOKEN));
	sends("hub.reg.test", "GET /v2/x HTTP/1.1\r\nAuthorization: Bearer %s", mark,
	      "Authorization: Bearer " TOKEN "\r\n");
	reload(CREDENTIAL(""), BESIDE);
	sends("hub.reg.test", "GET /v2/x HTTP/1.1\r\nAuthorization: Bearer %s", mark,
	      "Authorization: Bearer " TOKEN "\r\n");
	assert_string_equal(rig.last_credential, "gh");
	/* A change of the credential takes it away, also when it comes back. */
	reload(CREDENTIAL(", \"opaque_answers\": \"pass\""), BESIDE);
	sends("hub.reg.test", "GET /v2/x HTTP/1.1\r\nX-Token: %s", mark, mark);
	reload(CREDENTIAL(""), BESIDE);
	sends("hub.reg.test", "GET /v2/x HTTP/1.1\r\nX-Token: %s", mark, mark);
}

static void test_opaque(void **state)
{
	static const char zipped[] =
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nzz";

	ask("auth.test", "GET /x HTTP/1.1\r\nAccept-Encoding: gzip\r\nRange: bytes=1-2", zipped);
	assert_says(sent, "accept-encoding: identity\r\n");
	assert_null(strstr(sent, "ange:"));
	assert_says(got, "502 egret refused the answer of auth.test: it came encoded");
	ask("auth.test", "GET /x HTTP/1.1",
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-16LE\r\nContent-Length: "
	    "2\r\n\r\nzz");
	assert_says(got, "502 egret refused the answer of auth.test: it came encoded");
}

static void test_opaque_pass(void **state)
{
	ask("auth.test", "GET /x HTTP/1.1",
	    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: "
	    "2\r\n\r\nzz");
	assert_says(got, "Content-Encoding: gzip\r\n");
	assert_says(got, "\r\n\r\nzz");
	/* What hands out credentials is read, whatever is passed. */
	refused("auth.test", "POST /token HTTP/1.1\r\nContent-Length: 0",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\nzz",
		"it came encoded");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_registry),
		T(test_oauth),
		T(test_refused),
		T(test_cookie),
		T(test_redirect),
		T(test_lfs),
		T(test_ecr),
		T(test_renewed),
		T(test_reload),
		T(test_opaque),
		cmocka_unit_test_setup_teardown(test_opaque_pass, up_opaque, down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (secret_arena_init(1 << 18) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
