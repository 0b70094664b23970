/* SPDX-License-Identifier: Apache-2.0 */
/* The XML of AWS's answers: the documented ones are read, and what a reader could take in two ways
 * is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <errno.h>

#include "provider/xml.h"

/* As AWS's reference of AssumeRoleWithWebIdentity has it. */
static const char sample[] =
	"<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n"
	"  <AssumeRoleWithWebIdentityResult>\n"
	"    <SubjectFromWebIdentityToken>amzn1.account.AF6RHO7KZU5XRVQJGXK6HB56KR2A"
	"</SubjectFromWebIdentityToken>\n"
	"    <Audience>client.5498841531868486423.1548@apps.example.com</Audience>\n"
	"    <AssumedRoleUser>\n"
	"      <Arn>arn:aws:sts::123456789012:assumed-role/FederatedWebIdentityRole/app1</Arn>\n"
	"      <AssumedRoleId>AROACLKWSDQRAOEXAMPLE:app1</AssumedRoleId>\n"
	"    </AssumedRoleUser>\n"
	"    <Credentials>\n"
	"      <SessionToken>AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE</SessionToken>\n"
	"      <SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>\n"
	"      <Expiration>2014-10-24T23:00:23Z</Expiration>\n"
	"      <AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>\n"
	"    </Credentials>\n"
	"    <SourceIdentity>SourceIdentityValue</SourceIdentity>\n"
	"    <Provider>www.amazon.com</Provider>\n"
	"  </AssumeRoleWithWebIdentityResult>\n"
	"  <ResponseMetadata>\n"
	"    <RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId>\n"
	"  </ResponseMetadata>\n"
	"</AssumeRoleWithWebIdentityResponse>\n";
#define CREDENTIALS "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials/"

static void test_sample(void **state)
{
	struct xml_want w[] = { { .path = CREDENTIALS "AccessKeyId" },
				{ .path = CREDENTIALS "SecretAccessKey" },
				{ .path = CREDENTIALS "Expiration" },
				{ .path = CREDENTIALS "Nothing" },
				{ .path = "Credentials/AccessKeyId" } };
	struct arena a;

	arena_init(&a, 1 << 20);
	assert_int_equal(xml_read(STR(sample), &a, w, ARRAY_SIZE(w)), 0);
	assert_true(str_is(w[0].text, "ASgeIAIOSFODNN7EXAMPLE"));
	assert_true(str_is(w[1].text, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"));
	assert_true(str_is(w[2].text, "2014-10-24T23:00:23Z"));
	assert_true(!w[3].seen && !w[4].seen && !w[4].text.n);
	arena_done(&a);
}

/* Cut anywhere it is no document. */
static void test_cut(void **state)
{
	struct xml_want w = { .path = CREDENTIALS "AccessKeyId" };

	for (size_t n = 0; n < sizeof(sample) - 2; n++) {
		struct arena a;

		w = (struct xml_want){ .path = w.path };
		arena_init(&a, 1 << 20);
		if (xml_read((struct str){ sample, n }, &a, &w, 1) != -EBADMSG)
			fail_msg("cut at %zu it is read", n);
		arena_done(&a);
	}
}

static const struct {
	const char *document;
	const char *text; /* NULL: refused */
} cases[] = {
	{ "<a><b>x</b></a>", "x" },
	{ "<?xml version=\"1.0\"?>\n<a><b>x</b></a>\n", "x" },
	{ "<a><b/></a>", "" },
	{ "<a><b c='d' e=\"f\" />g</a>", "" },
	{ "<a><b>1 &lt; 2 &amp;&amp; &quot;x&#38;y&#x26;&#8364;&quot;</b></a>",
	  "1 < 2 && \"x&y&\xe2\x82\xac\"" },
	{ "<n:a><b>x</b></n:a>", "" },
	{ "<a><b>x</b><b>y</b></a>", NULL },
	{ "<a><b>x<c>y</c></b></a>", NULL },
	{ "<a><b>x</b></a><a/>", NULL },
	{ "<a><b>x</b></a>y", NULL },
	{ "x<a><b>x</b></a>", NULL },
	{ "<a><b>x</a></b>", NULL },
	{ "<a><b>x</b>", NULL },
	{ "<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><a><b>&e;</b></a>", NULL },
	{ "<a><b>&e;</b></a>", NULL },
	{ "<a><b>&#0;</b></a>", NULL },
	{ "<a><b>&#xd800;</b></a>", NULL },
	{ "<a><b>&#99999999;</b></a>", NULL },
	{ "<a><b><![CDATA[x]]></b></a>", NULL },
	{ "<a><!-- --><b>x</b></a>", NULL },
	{ "<a><?php?><b>x</b></a>", NULL },
	{ "<a><b c>x</b></a>", NULL },
	{ "<a><b c=d>x</b></a>", NULL },
	{ "<a><1>x</1></a>", NULL },
	{ "<a><b>x\x01</b></a>", NULL },
	{ "<a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a></a></a></"
	  "a></a>",
	  NULL },
	{ "", NULL },
	{ "   ", NULL },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct xml_want w = { .path = "a/b" };
		struct arena a;
		int r;

		arena_init(&a, 1 << 20);
		r = xml_read(str_of(cases[i].document), &a, &w, 1);
		if (r != (cases[i].text ? 0 : -EBADMSG))
			fail_msg("%s: %d", cases[i].document, r);
		if (cases[i].text && !str_is(w.text, cases[i].text))
			fail_msg("%s: %.*s", cases[i].document, STR_ARG(w.text));
		arena_done(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sample),
					    cmocka_unit_test(test_cut),
					    cmocka_unit_test(test_cases) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
