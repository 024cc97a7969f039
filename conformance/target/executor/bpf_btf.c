// SPDX-License-Identifier: GPL-2.0-only
/*
 * Offsets of struct members and ids of functions, from the type information
 * that the running kernel ships. They differ between builds, so nothing else
 * will do.
 */

#include <fcntl.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf.h"

#define VMLINUX "/sys/kernel/btf/vmlinux"

/* Sizes of what follows a struct btf_type: fixed, and for each of its vlen. */
static const struct {
	u8 fixed, each;
} tail_bytes[] = {
	[BTF_KIND_INT] = { 4, 0 },
	[BTF_KIND_ARRAY] = { sizeof(struct btf_array), 0 },
	[BTF_KIND_STRUCT] = { 0, sizeof(struct btf_member) },
	[BTF_KIND_UNION] = { 0, sizeof(struct btf_member) },
	[BTF_KIND_ENUM] = { 0, sizeof(struct btf_enum) },
	[BTF_KIND_FUNC_PROTO] = { 0, sizeof(struct btf_param) },
	[BTF_KIND_VAR] = { sizeof(struct btf_var), 0 },
	[BTF_KIND_DATASEC] = { 0, sizeof(struct btf_var_secinfo) },
	[BTF_KIND_DECL_TAG] = { sizeof(struct btf_decl_tag), 0 },
	[BTF_KIND_ENUM64] = { 0, sizeof(struct btf_enum64) },
};

struct btf_data {
	u8 *bytes;
	size_t size;
	const struct btf_type **types; /* by id; [0] is void */
	u32 n_types;
	const char *strings;
	u32 strings_size;
};

static const char *name_of(const struct btf_data *btf, u32 offset)
{
	return offset < btf->strings_size ? btf->strings + offset : "";
}

static bool read_whole(const char *path, struct btf_data *btf)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat stat;
	size_t got = 0;
	ssize_t part = 1;

	if (fd < 0)
		return false;
	if (!fstat(fd, &stat) && stat.st_size > (off_t)sizeof(struct btf_header)) {
		btf->size = stat.st_size;
		btf->bytes = malloc(btf->size);
	}
	while (btf->bytes && got < btf->size && part > 0) {
		part = read(fd, btf->bytes + got, btf->size - got);
		got += part > 0 ? part : 0;
	}
	close(fd);
	return btf->bytes && got == btf->size;
}

/* Find where each type starts; false when the data is not what it should be. */
static bool index_types(struct btf_data *btf)
{
	const struct btf_header *head = (const void *)btf->bytes;
	u64 types = (u64)head->hdr_len + head->type_off;
	u64 strings = (u64)head->hdr_len + head->str_off;
	const u8 *at, *end;
	u32 room = head->type_len / sizeof(struct btf_type) + 1;

	if (head->magic != BTF_MAGIC || types + head->type_len > btf->size ||
	    strings + head->str_len > btf->size || !head->str_len)
		return false;
	btf->strings = (const char *)btf->bytes + strings;
	btf->strings_size = head->str_len;
	if (btf->strings[head->str_len - 1])
		return false;
	btf->types = calloc(room, sizeof(*btf->types));
	if (!btf->types)
		return false;
	at = btf->bytes + types;
	end = at + head->type_len;
	for (btf->n_types = 1; at + sizeof(struct btf_type) <= end; btf->n_types++) {
		const struct btf_type *type = (const void *)at;
		u32 kind = BTF_INFO_KIND(type->info);
		u64 tail = 0;

		if (kind < ARRAY_SIZE(tail_bytes))
			tail = tail_bytes[kind].fixed +
			       (u64)tail_bytes[kind].each * BTF_INFO_VLEN(type->info);
		btf->types[btf->n_types] = type;
		at += sizeof(*type) + tail;
	}
	return at == end;
}

/*
 * Byte offset of a member, looking into members without a name, or -1. Depth is
 * bounded: C does not nest like that, but the data is not ours.
 */
static int member_offset(const struct btf_data *btf, const struct btf_type *type, const char *name,
			 int depth)
{
	const struct btf_member *members = (const void *)(type + 1);

	for (u32 i = 0; i < BTF_INFO_VLEN(type->info); i++) {
		const struct btf_member *member = &members[i];
		u32 bits = BTF_INFO_KFLAG(type->info) ? BTF_MEMBER_BIT_OFFSET(member->offset) :
							member->offset;
		u32 kind, inner;

		if (member->type >= btf->n_types)
			continue;
		if (!strcmp(name_of(btf, member->name_off), name))
			return bits / 8;
		if (member->name_off || !member->type || !depth)
			continue;
		kind = BTF_INFO_KIND(btf->types[member->type]->info);
		if (kind != BTF_KIND_STRUCT && kind != BTF_KIND_UNION)
			continue;
		inner = member_offset(btf, btf->types[member->type], name, depth - 1);
		if ((int)inner >= 0)
			return bits / 8 + inner;
	}
	return -1;
}

static const struct btf_type *find(const struct btf_data *btf, u32 kind, const char *name, int *id)
{
	for (u32 i = 1; i < btf->n_types; i++) {
		const struct btf_type *type = btf->types[i];

		if (BTF_INFO_KIND(type->info) == kind && !strcmp(name_of(btf, type->name_off), name)) {
			*id = i;
			return type;
		}
	}
	*id = -1;
	return NULL;
}

static bool look_up(const struct btf_data *btf, struct kernel_types *types)
{
	const struct btf_type *vma, *task, *mm;
	int id;

	find(btf, BTF_KIND_FUNC, "bpf_iter_task_vma_new", &types->iter_new);
	find(btf, BTF_KIND_FUNC, "bpf_iter_task_vma_next", &types->iter_next);
	find(btf, BTF_KIND_FUNC, "bpf_iter_task_vma_destroy", &types->iter_destroy);
	vma = find(btf, BTF_KIND_STRUCT, "vm_area_struct", &id);
	task = find(btf, BTF_KIND_STRUCT, "task_struct", &id);
	mm = find(btf, BTF_KIND_STRUCT, "mm_struct", &id);
	if (!vma || !task || !mm || types->iter_new < 0 || types->iter_next < 0 || types->iter_destroy < 0)
		return false;
	types->start = member_offset(btf, vma, "vm_start", 4);
	types->end = member_offset(btf, vma, "vm_end", 4);
	types->flags = member_offset(btf, vma, "vm_flags", 4);
	types->pgoff = member_offset(btf, vma, "vm_pgoff", 4);
	types->file = member_offset(btf, vma, "vm_file", 4);
	types->mm = member_offset(btf, task, "mm", 4);
	types->map_count = member_offset(btf, mm, "map_count", 4);
	return types->mm >= 0 && types->map_count >= 0 && types->start >= 0 && types->end >= 0 && types->flags >= 0 && types->pgoff >= 0 &&
	       types->file >= 0;
}

/* False when the kernel does not say, or has no open-coded VMA iterator (before 6.7). */
bool btf_read(struct kernel_types *types)
{
	struct btf_data btf = { 0 };
	bool ok = read_whole(VMLINUX, &btf) && index_types(&btf) && look_up(&btf, types);

	free(btf.types);
	free(btf.bytes);
	return ok;
}
