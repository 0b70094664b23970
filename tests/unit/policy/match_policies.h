/* SPDX-License-Identifier: Apache-2.0 */
/* The policies that test_match.c's table is about. Text, so that the table tests the loader's
 * reading of them, too. */
#ifndef TEST_MATCH_POLICIES_H
#define TEST_MATCH_POLICIES_H

enum {
	P_HOSTS,
	P_PATHS,
	P_METHODS,
	P_ORDER,
	P_PASS,
	P_QUERY,
	P_GIT,
	P_WEBSOCKET,
	P_REFS,
	P_EMPTY,
	P_AUDIT,
	P_ADDR,
	P_COUNT
};

static const char *const policies[P_COUNT] = {
	[P_HOSTS] = "{ \"name\": \"hosts\", \"rules\": ["
		    "{ \"id\": \"exact\", \"allow\": \"GET https://x.example.com\" },"
		    "{ \"id\": \"one\", \"allow\": \"GET https://*.one.example.com\" },"
		    "{ \"id\": \"many\", \"allow\": \"GET https://**.many.example.com\" },"
		    "{ \"id\": \"ports\", \"allow\": \"GET "
		    "https://ports.example.com:443,8443,9000-9010\" },"
		    "{ \"id\": \"plain\", \"allow\": \"GET http://plain.example.com\" },"
		    "{ \"id\": \"idn\", \"allow\": \"GET https://b\xc3\xbc"
		    "cher.example.com\" },"
		    "{ \"id\": \"under\", \"allow\": \"GET https://_svc.example.com\" },"
		    "{ \"id\": \"upper\", \"allow\": \"GET https://UPPER.Example.COM.\" },"
		    "] }",
	[P_PATHS] =
		"{ \"name\": \"paths\", \"rules\": ["
		"{ \"id\": \"exact\", \"allow\": \"GET https://h.test.example/exact\" },"
		"{ \"id\": \"tree\", \"allow\": \"GET https://h.test.example/tree/**\" },"
		"{ \"id\": \"seg\", \"allow\": \"GET https://h.test.example/seg/*\" },"
		"{ \"id\": \"mid\", \"allow\": \"GET https://h.test.example/mid/*/end\" },"
		"{ \"id\": \"deep\", \"allow\": \"GET https://h.test.example/deep/**/end\" },"
		"{ \"id\": \"pre\", \"allow\": \"GET https://h.test.example/pre/v*\" },"
		"{ \"id\": \"in\", \"allow\": \"GET https://h.test.example/in/a*b*c\" },"
		"{ \"id\": \"slash\", \"allow\": \"GET https://h.test.example/slash/\" },"
		"{ \"id\": \"esc\", \"allow\": \"GET https://h.test.example/esc/%7Euser/a%20b\" },"
		"{ \"id\": \"two\", \"allow\": \"GET https://h.test.example/two/**/x/**/y\" },"
		"{ \"id\": \"root\", \"allow\": \"GET https://h.test.example/\" },"
		"] }",
	[P_METHODS] =
		"{ \"name\": \"methods\", \"rules\": ["
		"{ \"id\": \"read\", \"allow\": \"READ https://h.test.example/read\" },"
		"{ \"id\": \"any\", \"allow\": \"ANY https://h.test.example/any\" },"
		"{ \"id\": \"list\", \"allow\": \"POST,PUT,DELETE https://h.test.example/list\" },"
		"{ \"id\": \"dav\", \"allow\": \"PROPFIND,MKCOL https://h.test.example/dav\" },"
		"{ \"id\": \"no\", \"deny\": \"DELETE https://h.test.example/any/**\" },"
		"] }",
	[P_ORDER] = "{ \"name\": \"order\", \"rules\": ["
		    "{ \"id\": \"wide\", \"allow\": \"ANY https://**.o.example\" },"
		    "{ \"id\": \"mid\", \"allow\": \"ANY https://*.o.example/**\" },"
		    "{ \"id\": \"host\", \"allow\": \"ANY https://a.o.example\" },"
		    "{ \"id\": \"path\", \"allow\": \"ANY https://a.o.example/api/**\" },"
		    "{ \"id\": \"get\", \"allow\": \"GET https://a.o.example/api/**\" },"
		    "{ \"id\": \"leaf\", \"allow\": \"ANY https://a.o.example/api/v1/x\" },"
		    "{ \"id\": \"no\", \"deny\": \"https://a.o.example/api/secret/**\" },"
		    "{ \"id\": \"nohost\", \"deny\": \"https://bad.o.example\" },"
		    "{ \"id\": \"nowide\", \"deny\": \"POST https://**.o.example/upload\" },"
		    "{ \"id\": \"old\", \"allow\": \"ANY https://old.u.example\", \"until\": "
		    "\"2001-01-01\" },"
		    "{ \"id\": \"new\", \"allow\": \"ANY https://new.u.example\", \"until\": "
		    "\"2200-01-01T00:00:00Z\" },"
		    "] }",
	[P_PASS] = "{ \"name\": \"pass\", \"rules\": ["
		   "{ \"id\": \"db\", \"allow\": \"tls://db.p.example:5432\" },"
		   "{ \"id\": \"ssh\", \"allow\": \"tcp://git.p.example:22\" },"
		   "{ \"id\": \"wild\", \"allow\": \"tls://*.w.p.example\" },"
		   "{ \"id\": \"web\", \"allow\": \"READ https://web.p.example\" },"
		   "{ \"id\": \"notcp\", \"deny\": \"tcp://shut.p.example:443\" },"
		   "{ \"id\": \"shut\", \"allow\": \"READ https://shut.p.example:443,8443\" },"
		   "{ \"id\": \"closed\", \"deny\": \"https://gone.w.p.example\" },"
		   "] }",
	[P_QUERY] = "{ \"name\": \"query\", \"rules\": ["
		    "{ \"id\": \"none\", \"allow\": \"GET https://q.example.net/none\", \"query\": "
		    "[] },"
		    "{ \"id\": \"some\", \"allow\": \"GET https://q.example.net/some\", \"query\": "
		    "[\"a\", \"page\", \"x[y]\"] },"
		    "{ \"id\": \"free\", \"allow\": \"GET https://q.example.net/free\" },"
		    "] }",
	[P_GIT] = "{ \"name\": \"git\", \"rules\": ["
		  "{ \"id\": \"fetch\", \"allow\": \"GIT-FETCH https://g.example.net/acme/**\" },"
		  "{ \"id\": \"push\", \"allow\": \"GIT-PUSH https://g.example.net/acme/web\" },"
		  "{ \"id\": \"nofetch\", \"deny\": \"GIT-FETCH "
		  "https://g.example.net/acme/private\" },"
		  "{ \"id\": \"both\", \"allow\": \"GIT-FETCH,GIT-PUSH "
		  "https://g.example.net/lib/*\" },"
		  "] }",
	[P_WEBSOCKET] = "{ \"name\": \"websocket\", \"rules\": ["
			"{ \"id\": \"any\", \"allow\": \"ANY https://w.example.net\" },"
			"{ \"id\": \"live\", \"allow\": \"WEBSOCKET "
			"https://w.example.net/live/**\" },"
			"{ \"id\": \"both\", \"allow\": \"GET,WEBSOCKET "
			"https://v.example.net/both\" },"
			"{ \"id\": \"wide\", \"allow\": \"WEBSOCKET https://v.example.net\" },"
			"{ \"id\": \"plain\", \"allow\": \"WEBSOCKET http://v.example.net\" },"
			"{ \"id\": \"noget\", \"deny\": \"READ https://v.example.net/get/**\" },"
			"{ \"id\": \"nopost\", \"deny\": \"POST "
			"https://v.example.net/post/**\" },"
			"{ \"id\": \"nosocket\", \"deny\": \"WEBSOCKET "
			"https://v.example.net/socket\" },"
			"{ \"id\": \"nothing\", \"deny\": \"https://v.example.net/shut/**\" },"
			"] }",
	[P_REFS] =
		"{ \"name\": \"refs\", \"rules\": ["
		"{ \"id\": \"tags\", \"allow\": \"GIT-PUSH https://g.example.net/acme/web.git/\", "
		"\"refs\": [\"refs/tags/v*\"] },"
		"{ \"id\": \"bot\", \"allow\": \"GIT-PUSH https://g.example.net/acme/web\", "
		"\"refs\": [\"refs/heads/bot/**\", \"refs/heads/next\"] },"
		"{ \"id\": \"some\", \"allow\": \"GIT-PUSH https://g.example.net/acme/p*t\" },"
		"{ \"id\": \"all\", \"allow\": \"ANY https://g.example.net/any/**\" },"
		"{ \"id\": \"nobot\", \"deny\": \"GIT-PUSH https://g.example.net\", \"refs\": "
		"[\"refs/heads/bot/main\", \"refs/heads/main\"] },"
		"{ \"id\": \"closed\", \"deny\": \"GIT-PUSH https://g.example.net/any/x.git\" },"
		"] }",
	[P_EMPTY] = "{ \"name\": \"empty\", \"rules\": [] }",
	[P_AUDIT] = "{ \"name\": \"audit\", \"mode\": \"audit\", \"rules\": ["
		    "{ \"id\": \"ok\", \"allow\": \"GET https://a.example.net\" },"
		    "{ \"id\": \"no\", \"deny\": \"https://b.example.net\" },"
		    "] }",
	[P_ADDR] = "{ \"name\": \"addr\", \"rules\": ["
		   "{ \"id\": \"lan\", \"direct\": \"10.0.5.0/24:5432\" },"
		   "{ \"id\": \"ntp\", \"direct\": \"10.0.5.0/24:50-60,123/udp\" },"
		   "{ \"id\": \"nodb\", \"deny\": \"tcp://10.0.5.66:5432\" },"
		   "{ \"id\": \"noweb\", \"deny\": \"https://10.0.5.67:123\" },"
		   "{ \"id\": \"past\", \"direct\": \"10.0.7.0/24:80/udp\", \"until\": "
		   "\"2001-01-01\" },"
		   "{ \"id\": \"lan6\", \"direct\": \"[2001:db8:5::/48]:80-90\" },"
		   "{ \"id\": \"api\", \"allow\": \"READ https://198.51.100.7/api/**\" },"
		   "{ \"id\": \"api6\", \"allow\": \"READ http://[2001:db8::7]:8080\" },"
		   "{ \"id\": \"raw\", \"allow\": \"tcp://198.51.100.9:22\" },"
		   "{ \"id\": \"noapi\", \"deny\": \"https://198.51.100.7/api/admin/**\" },"
		   "] }",
};

#endif
