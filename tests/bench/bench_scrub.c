/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What searching an answer for a credential's value costs: ns for 1 KiB and for 16 KiB of texts of
 * several kinds, in one part and in two, the value a token of 68 bytes with all of its forms.
 * Median of 5 rounds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proxy/scrub.h"

#define ROUNDS 5
#define TIMES 20000
#define SIZE 16384

static const char value[] = "tok-0f3c9a77d1e84b52a6c01b9e5d2f83470f3c9a77d1e84b52a6c01b9e5d2f8347";

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of texts that hold nothing: they stay as they are. */
static double measure(const struct scrub *s, char *text, size_t n, size_t cut)
{
	double rounds[ROUNDS];
	size_t sure, found = 0;
	unsigned times = TIMES / (unsigned)(n / 1024);

	for (int r = 0; r < ROUNDS; r++) {
		uint64_t start = clock_now_us();

		for (unsigned i = 0; i < times; i++) {
			if (cut)
				found += scrub_bytes(s, text, cut, false, &sure);
			found += scrub_bytes(s, text + cut, n - cut, true, &sure);
		}
		rounds[r] = (double)(clock_now_us() - start) * 1000 / times;
	}
	if (found)
		exit(1);
	qsort(rounds, ROUNDS, sizeof(*rounds), by_value);
	return rounds[ROUNDS / 2];
}

/* The text over and over; a letter of the set of each place where it has a dot. */
static void fill(char *to, const char *form, const char *set)
{
	unsigned seed = 7;

	for (size_t i = 0, k = 0; i < SIZE; i++, k = form[k + 1] ? k + 1 : 0) {
		seed = seed * 1103515245u + 12345u;
		to[i] = form[k] == '.' ? set[(seed >> 16) % strlen(set)] : form[k];
	}
}

int main(void)
{
	static const char
		hex[] = "0123456789abcdef",
		b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const struct {
		const char *name, *form, *set;
	} texts[] = {
		{ "one letter", "x", hex },
		{ "JSON",
		  "{\"id\":.....,\"sha\":\"........................................\","
		  "\"url\":\"https://api.example/repos/acme/web/git/commits/..........\"},\n",
		  hex },
		{ "hex", ".", hex },
		{ "Base64", ".", b64 },
		{ "near it", "tok-0f3c9a77d1e84b52a6c01b9e5d2f83470f3c9a77d1e84b52a6c01b9e5d2f834",
		  hex },
	};
	const struct str values[] = { str_of(value) };
	static char text[SIZE];
	struct scrub *s;

	if (secret_arena_init(1u << 18) < 0 || scrub_new(values, 1, 1, &s) < 0)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		fill(text, texts[i].form, texts[i].set);
		printf("%-10s  1 KiB %7.0f ns, in two parts %7.0f;  16 KiB %7.0f, in two parts "
		       "%7.0f\n",
		       texts[i].name, measure(s, text, 1024, 0), measure(s, text, 1024, 512),
		       measure(s, text, SIZE, 0), measure(s, text, SIZE, SIZE / 2));
	}
	scrub_free(s);
	return 0;
}
