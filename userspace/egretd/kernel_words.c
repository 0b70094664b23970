/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel_words.h. The types of a pinned map are what an egretd gave the kernel with it. */
#include "egretd/kernel_words.h"
#include "egretd/kernel_pin.h"
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 8 /* structs in structs */

static bool same_type(const struct btf *a, uint32_t x, const struct btf *b, uint32_t y, int depth);

static bool same_members(const struct btf *a, const struct btf_type *s, const struct btf *b,
			 const struct btf_type *t, int depth)
{
	const struct btf_member *m = btf_members(s), *n = btf_members(t);

	if (s->size != t->size || btf_vlen(s) != btf_vlen(t))
		return false;
	for (uint32_t i = 0; i < btf_vlen(s); i++) {
		const char *one = btf__name_by_offset(a, m[i].name_off);
		const char *other = btf__name_by_offset(b, n[i].name_off);

		if (!one || !other || strcmp(one, other) != 0 ||
		    btf_member_bit_offset(s, i) != btf_member_bit_offset(t, i) ||
		    !same_type(a, m[i].type, b, n[i].type, depth))
			return false;
	}
	return true;
}

static const struct btf_type *plain(const struct btf *of, uint32_t id)
{
	const struct btf_type *t = btf__type_by_id(of, id);

	while (t && (btf_is_mod(t) || btf_is_typedef(t)))
		t = btf__type_by_id(of, t->type);
	return t;
}

static bool same_type(const struct btf *a, uint32_t x, const struct btf *b, uint32_t y, int depth)
{
	const struct btf_type *s = plain(a, x), *t = plain(b, y);

	if (!s || !t || btf_kind(s) != btf_kind(t) || depth == DEPTH_MAX)
		return false;
	if (btf_is_composite(s))
		return same_members(a, s, b, t, depth + 1);
	if (btf_is_array(s))
		return btf_array(s)->nelems == btf_array(t)->nelems &&
		       same_type(a, btf_array(s)->type, b, btf_array(t)->type, depth + 1);
	return btf_is_int(s) && s->size == t->size && btf_int_encoding(s) == btf_int_encoding(t);
}

bool kernel_words_same(struct kernel_words *w, const struct bpf_map_info *have,
		       const struct bpf_map *want)
{
	uint32_t key = bpf_map__btf_key_type_id(want), value = bpf_map__btf_value_type_id(want);

	/* Without types on either side there is nothing but sizes to go by. */
	if (!w->ours || !have->btf_id || !have->btf_value_type_id || !value)
		return true;
	if (!w->theirs || w->id != have->btf_id) {
		btf__free(w->theirs);
		w->theirs = btf__load_from_kernel_by_id(have->btf_id);
		w->id = have->btf_id;
	}
	return w->theirs && same_type(w->theirs, have->btf_value_type_id, w->ours, value, 0) &&
	       same_type(w->theirs, have->btf_key_type_id, w->ours, key, 0);
}

int kernel_words_check(struct kernel_words *w, const char *dir, const struct bpf_map *want,
		       char *why, size_t size)
{
	const char *name = bpf_map__name(want);
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	cleanup_close int fd = -1;
	int r = kernel_pin_get(dir, name, true, &fd);

	if (r == -ENOENT)
		return 0;
	if (!r)
		r = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (r) {
		snprintf(why, size, "the map %s in %s cannot be looked at (%s)", name, dir,
			 strerror(-r));
		return r;
	}
	if (kernel_words_same(w, &info, want))
		return 0;
	snprintf(why, size,
		 "the map %s in %s has other fields than this build's: end the jobs, stop egretd, "
		 "remove the folder, and start again",
		 name, dir);
	return -EMEDIUMTYPE;
}

void kernel_words_done(struct kernel_words *w)
{
	btf__free(w->theirs);
	w->theirs = NULL;
}
